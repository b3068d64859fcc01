//! Damaged, hostile and gigantic texts.

use figures::{Scope, history, parse};
use proptest::prelude::*;
use scenario::Format;

fn scope() -> Scope {
    Scope {
        pool: "MSExchangeSyncAppPool".to_owned(),
        client_port: 443,
        back_end_port: 444,
    }
}

const FORMATS: [Format; 5] = [
    Format::Exporter,
    Format::Perfmon,
    Format::Netstat,
    Format::NetTcpConnection,
    Format::Values,
];

/// What each format looks like, to be damaged.
const SAMPLES: [&str; 5] = [
    "# TYPE windows_iis_worker_current_requests counter\nwindows_iis_worker_current_requests{app=\"MSExchangeSyncAppPool\",pid=\"4712\"} 1823\nwindows_tcp_connections_state_count{af=\"ipv4\",state=\"CLOSE_WAIT\"} 1760\n",
    "\"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)\",\"\\\\EX01\\W3SVC_W3WP(4712_MSExchangeSyncAppPool)\\Active Requests\"\r\n\"03/14/2026 03:00:00.015\",\"1823\"\r\n",
    "\r\nAktive Verbindungen\r\n\r\n  Proto  Lokale Adresse  Remoteadresse  Status  PID\r\n  TCP    [fe80::1%4]:443  10.9.1.7:51514  ABHÖREN  4\r\n [w3wp.exe]\r\n",
    "#TYPE x\r\n\"LocalAddress\",\"LocalPort\",\"RemoteAddress\",\"RemotePort\",\"State\"\r\n\"10.0.0.5\",\"60122\",\"10.0.0.5\",\"444\",\"CloseWait\"\r\n",
    "active_requests 1823\nmine 2.5\n",
];

proptest! {
    /// Whatever bytes come: an answer or a mistake with its line, and no panic.
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for format in FORMATS {
            let _ = parse(format, &bytes, &scope());
        }
        let _ = history(&bytes, &scope(), Some(i32::MAX));
    }

    /// Texts that are cut, reordered, doubled or overwritten in places.
    #[test]
    fn no_damage_makes_a_parser_panic(
        which in 0..5_usize,
        cut in 0..400_usize,
        at in 0..400_usize,
        with in ".{0,12}",
        wide in any::<bool>(),
    ) {
        let mut text: Vec<char> = SAMPLES[which].repeat(2).chars().collect();
        let at = at.min(text.len());
        text.splice(at..at, with.chars());
        text.truncate(text.len().saturating_sub(cut));
        let text: String = text.into_iter().collect();
        let bytes = if wide {
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else {
            text.into_bytes()
        };
        for format in FORMATS {
            if let Err(error) = parse(format, &bytes, &scope()) {
                prop_assert!(error.line >= 1);
                prop_assert!(error.to_string().len() < 800);
            }
        }
        let _ = history(&bytes, &scope(), None);
    }
}

/// A netstat of a server with 20,000 sockets, and a line without an end, take no notable time.
#[test]
fn gigantic_texts_are_read_or_refused() {
    let row = "  TCP    10.0.0.5:60122         10.0.0.5:444           CLOSE_WAIT      9120\r\n";
    let gauges = parse(Format::Netstat, row.repeat(60_000).as_bytes(), &scope())
        .unwrap()
        .gauges;
    assert_eq!(gauges["tcp.outgoing.close_wait"], 60_000.0);
    for format in FORMATS {
        let line = vec![b'7'; 8 << 20];
        assert!(parse(format, &line, &scope()).is_err());
        let quoted = vec![b'"'; 1 << 20];
        assert!(parse(format, &quoted, &scope()).is_err());
    }
}
