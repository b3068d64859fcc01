//! `easload wbxml`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use eas::wbxml::{from_xml, to_xml};
use text::{decode, decode_any};

use super::hexadecimal::{from_base64, from_hex};
use super::{Exit, print_or_fail};
use crate::terminal::say;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    direction: Direction,
}

#[derive(Debug, Subcommand)]
enum Direction {
    /// A WBXML body → XML.
    Decode {
        /// File; without one, standard input.
        file: Option<PathBuf>,
        /// The input is hexadecimal, as in logs: `03016a`, `3 1 6a`, `0x03, 0x01`, `03:01`, `"\\x03\\x01"`, or
        /// lines of a hex dump with offsets, such as those of hexdump, xxd, Wireshark and Format-Hex.
        #[arg(long)]
        hex: bool,
        /// The input is base64.
        #[arg(long, conflicts_with = "hex")]
        base64: bool,
    },
    /// XML → a WBXML body, written to standard output.
    Encode {
        /// File; without one, standard input.
        file: Option<PathBuf>,
        /// Write hexadecimal.
        #[arg(long)]
        hex: bool,
    },
}

pub(super) fn main(arguments: &Arguments) -> Exit {
    let done = match &arguments.direction {
        Direction::Decode { file, hex, base64 } => read(file.as_deref())
            .and_then(|bytes| match (hex, base64) {
                (true, _) => from_hex(&decode_any(&bytes)),
                (_, true) => from_base64(&decode_any(&bytes)),
                _ => Ok(bytes),
            })
            .and_then(|body| {
                to_xml(&body).map_err(|error| format!("{error}{}", hint(*hex || *base64, &body)))
            })
            .map(|xml| print_or_fail(&xml, Exit::Passed)),
        Direction::Encode { file, hex } => read(file.as_deref())
            .and_then(|bytes| decode(&bytes))
            .and_then(|xml| from_xml(&xml).map_err(|error| error.to_string()))
            .map(|body| {
                if *hex {
                    return print_or_fail(format!("{}\n", to_hex(&body)), Exit::Passed);
                }
                print_or_fail(&body, Exit::Passed)
            }),
    };
    done.unwrap_or_else(|problem| {
        say(&format!("error: {problem}"));
        Exit::Usage
    })
}

/// What to try if the input is not the bytes but a text that stands for them.
fn hint(is_text: bool, input: &[u8]) -> &'static str {
    let is_wbxml = |body: Result<Vec<u8>, String>| body.is_ok_and(|body| to_xml(&body).is_ok());
    let text = decode_any(input);
    if is_text {
        ""
    } else if is_wbxml(from_hex(&text)) {
        "; the input is hexadecimal: add --hex"
    } else if is_wbxml(from_base64(&text)) {
        "; the input is base64: add --base64"
    } else {
        ""
    }
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, String> {
    match file {
        Some(path) => std::fs::read(path).map_err(|error| format!("{}: {error}", path.display())),
        None => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| error.to_string())?;
            Ok(bytes)
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
