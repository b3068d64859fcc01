//! What a client reports to the guard against lock-outs.

use super::*;
use crate::transport::{Abandon, ConnectError, ConnectionEnd, LocalEnd, Timing};

struct Nobody;

impl Record for Nobody {
    fn record(&self, _: u32, _: Event<'_>) {}
}

/// Every request ends so.
#[derive(Debug, Clone)]
enum Ends {
    NotWritten(FailureKind, bool),
    /// After that time.
    Unanswered(FailureKind, bool, Duration),
    Answered(u16, &'static str, &'static [u8]),
}

struct Scripted {
    ends: Ends,
    sent: Instant,
}

impl Transport for Scripted {
    async fn begin(&mut self, _: Request<'_>) -> Result<Begun, Failure> {
        self.sent = Instant::now();
        match self.ends.clone() {
            Ends::NotWritten(kind, reused) => Err(Failure {
                kind,
                sent: None,
                reused,
            }),
            _ => Ok(Begun {
                sent: self.sent,
                local: LocalEnd::default(),
                connect: None,
                tls: None,
            }),
        }
    }

    async fn answer(&mut self, _: Instant) -> Result<Answer, Failure> {
        match self.ends.clone() {
            Ends::Answered(status, kind, body) => {
                let headers = [("Content-Type", kind)];
                let end = ConnectionEnd::Kept;
                Ok(Answer::from_parts(
                    status,
                    &headers,
                    body.to_vec(),
                    Timing {
                        sent: self.sent,
                        total: Duration::ZERO,
                    },
                    end,
                ))
            }
            Ends::Unanswered(kind, reused, after) => {
                tokio::time::sleep(after).await;
                let sent = Some(self.sent);
                Err(Failure { kind, sent, reused })
            }
            Ends::NotWritten(..) => panic!("not written"),
        }
    }

    fn another(&self) -> Self {
        panic!("there is no other")
    }

    fn abandon(&mut self, _: Abandon) {}

    fn is_connected(&self) -> bool {
        false
    }
}

/// What the guard has counted after a request that ends so.
async fn counted(command: Option<Command>, ends: Ends) -> (usize, usize, bool) {
    let refusals = Arc::new(Refusals::new(1, 3, 1.0));
    let transport = Scripted {
        ends,
        sent: Instant::now(),
    };
    let identity = Identity {
        device: 0,
        user: 0,
        user_name: "load0001".to_owned(),
        authorization: "Basic eA==".to_owned().into(),
        device_id: "EASLOAD00000001".to_owned(),
    };
    let mut client = Client::new(
        transport,
        Arc::new(identity),
        Arc::new(Profile::default()),
        Arc::clone(&refusals),
        Arc::new(Nobody),
    );
    match command {
        Some(command) => drop(client.call(command, &[]).await),
        None => drop(client.options().await),
    }
    refusals.counted(0)
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_counts_unless_the_server_cannot_have_looked_at_it() {
    let unanswered =
        |kind, reused, millis| Ends::Unanswered(kind, reused, Duration::from_millis(millis));
    let closed = FailureKind::ClosedWithoutAnswer;
    let timed_out = FailureKind::TimedOut { received: 0 };
    for (ends, logins) in [
        (
            Ends::NotWritten(FailureKind::Connect(ConnectError::Refused), false),
            0,
        ),
        // The server may have refused what it had got.
        (Ends::NotWritten(FailureKind::Reset, false), 1),
        (Ends::NotWritten(FailureKind::Reset, true), 1),
        (Ends::NotWritten(timed_out.clone(), false), 1),
        (unanswered(closed.clone(), false, 0), 1),
        (unanswered(FailureKind::Reset, false, 0), 1),
        // The close of a kept connection crosses the request.
        (unanswered(closed.clone(), true, 0), 0),
        (unanswered(FailureKind::Reset, true, 999), 0),
        // Too late for that.
        (unanswered(closed, true, 1000), 1),
        (unanswered(FailureKind::Reset, true, 3000), 1),
        (unanswered(timed_out, true, 10), 1),
        (
            unanswered(FailureKind::Truncated { received: 9 }, true, 0),
            1,
        ),
        (unanswered(FailureKind::Malformed("x"), true, 0), 1),
    ] {
        let counted = counted(Some(Command::Sync), ends.clone()).await;
        assert_eq!(counted, (0, logins, false), "{ends:?}");
    }
}

/// A login page of a proxy is no success, and neither is any other answer that ActiveSync does not give.
#[tokio::test]
async fn only_an_answer_of_active_sync_proves_a_password() {
    const WBXML: &[u8] = &[3, 1, 106, 0];
    const PAGE: &[u8] = b"<!DOCTYPE html><html><form action=\"/login\"></form></html>";
    let wbxml = "application/vnd.ms-sync.wbxml";
    for (command, status, kind, body, proves) in [
        (Command::FolderSync, 200, wbxml, WBXML, true),
        (Command::FolderSync, 449, "text/html", PAGE, true),
        (Command::Sync, 200, wbxml, b"".as_slice(), true),
        (Command::SendMail, 200, wbxml, b"", true),
        (Command::GetAttachment, 200, "image/png", b"PNG", true),
        (Command::FolderSync, 200, wbxml, b"", false),
        (Command::Ping, 200, wbxml, b"", false),
        (Command::FolderSync, 200, "text/html", PAGE, false),
        (Command::FolderSync, 200, wbxml, PAGE, false),
        (Command::Sync, 200, "text/plain", b"please log in", false),
        (Command::Ping, 200, "application/json", b"{}", false),
        (Command::GetAttachment, 200, "image/png", PAGE, false),
        (Command::GetAttachment, 200, "text/html", b"x", false),
        (Command::FolderSync, 302, "text/html", PAGE, false),
        (Command::FolderSync, 403, "text/html", PAGE, false),
        (Command::FolderSync, 503, "text/html", PAGE, false),
    ] {
        let counted = counted(Some(command), Ends::Answered(status, kind, body)).await;
        assert_eq!(counted, (0, 0, proves), "{command:?} {status} {kind}");
    }
    let refused = Ends::Answered(401, "text/html", PAGE);
    assert_eq!(counted(Some(Command::Sync), refused).await, (1, 0, false));
    let options = Ends::Answered(200, "text/html", PAGE);
    assert_eq!(counted(None, options).await, (0, 0, false));
}
