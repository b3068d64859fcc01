//! `easload wbxml`.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use eas::wbxml::{from_xml, to_xml};

use super::{Exit, print_or_fail};

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
        /// The input is hexadecimal, as in logs; white space is ignored.
        #[arg(long)]
        hex: bool,
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
        Direction::Decode { file, hex } => read(file.as_deref())
            .and_then(|bytes| if *hex { from_hex(&bytes) } else { Ok(bytes) })
            .and_then(|body| to_xml(&body).map_err(|error| error.to_string()))
            .map(|xml| print_or_fail(&xml, Exit::Passed)),
        Direction::Encode { file, hex } => read(file.as_deref())
            .and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()))
            .and_then(|xml| from_xml(&xml).map_err(|error| error.to_string()))
            .and_then(|body| {
                if *hex {
                    return Ok(print_or_fail(&format!("{}\n", to_hex(&body)), Exit::Passed));
                }
                std::io::stdout()
                    .write_all(&body)
                    .map_err(|error| error.to_string())?;
                Ok(Exit::Passed)
            }),
    };
    done.unwrap_or_else(|problem| {
        eprintln!("error: {problem}");
        Exit::Usage
    })
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

fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(|| {
                    format!(
                        "`{}` is not two hexadecimal digits",
                        String::from_utf8_lossy(pair)
                    )
                })
        })
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
