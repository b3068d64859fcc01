//! SendMail.

use eas::commands::{SendMailAnswer, SendMailRequest};
use eas::status::GlobalStatus;

use super::{Call, Outcome, Refusal, answers};
use crate::store::{Mail, Operation};
use crate::worker::local_part;

impl Call<'_> {
    pub(super) async fn send_mail(&self) -> Outcome {
        let operation = if self.version.sends_mail_as_wbxml() {
            let request = SendMailRequest::decode(self.body)?;
            let (mail, to) = self.message(&request.mime)?;
            let client_id = Some(request.client_id.into_owned());
            Operation::Deliver {
                client_id,
                mail,
                to,
                save_in_sent: request.save_in_sent,
            }
        } else {
            let (mail, to) = self.message(self.body)?;
            Operation::Deliver {
                client_id: None,
                mail,
                to,
                save_in_sent: self.query.save_in_sent,
            }
        };
        match self.ask(operation).await {
            Ok(_) => Ok(answers::empty(self.worker)),
            Err(Refusal::Status(status)) if self.version.sends_mail_as_wbxml() => self.body(
                SendMailAnswer {
                    failure: Some(status),
                }
                .encode()?,
            ),
            Err(refusal) => Err(refusal),
        }
    }

    /// Reads a message; the sender is always the user (ASCMD 2.2.1.17).
    fn message(&self, mime: &[u8]) -> Result<(Mail, Vec<String>), Refusal> {
        let text = String::from_utf8_lossy(mime).replace('\0', "");
        let (head, body) = text
            .split_once("\r\n\r\n")
            .or_else(|| text.split_once("\n\n"))
            .ok_or(Refusal::Status(GlobalStatus::InvalidMime))?;
        // A line that begins with a blank goes on the one before (RFC 5322 2.2.3).
        let head = head
            .replace("\r\n", "\n")
            .replace("\n ", " ")
            .replace("\n\t", " ");
        let headers = |wanted: &'static str| {
            head.lines().filter_map(move |line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case(wanted).then(|| value.trim())
            })
        };
        let header = |wanted| headers(wanted).next().unwrap_or_default().to_owned();
        let users: Vec<String> = ["To", "Cc", "Bcc"]
            .into_iter()
            .flat_map(headers)
            .flat_map(addresses)
            .map(recipient)
            .filter(|user| !user.is_empty())
            .collect();
        if users.is_empty() {
            return Err(Refusal::Status(GlobalStatus::MessageHasNoRecipient));
        }
        let mail = Mail {
            from: self.user.clone(),
            to: header("To"),
            subject: header("Subject"),
            received: String::new(),
            body: body.to_owned(),
            read: false,
        };
        Ok((mail, users))
    }
}

/// The addresses of a list; a comma within quotes does not part them (RFC 5322 3.4).
fn addresses(list: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    list.split(move |letter| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    })
}

/// The user of an address such as `"Load 1" <load1@lab.example>`.
fn recipient(address: &str) -> String {
    let address = match address.rsplit_once('<') {
        Some((_, rest)) => rest.trim_end_matches(|letter: char| "> \t".contains(letter)),
        None => address,
    };
    local_part(address.trim_matches(|letter: char| " \t\"".contains(letter)))
}
