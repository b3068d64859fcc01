//! ResolveRecipients and ValidateCert.

use std::collections::HashMap;

use eas::commands::{
    Availability, Recipient, RecipientAvailability, ResolveRecipientsAnswer,
    ResolveRecipientsRequest, ResolvedRecipients, Skipped, ValidateCertAnswer, ValidateCertRequest,
};
use eas::status::{GlobalStatus, ResolveRecipientsStatus, ValidateCertStatus};
use jiff::{SignedDuration, Timestamp};

use super::{Call, Outcome, Refusal};
use crate::store::{Operation, StoreReply};
use crate::worker::{address, local_part};

/// A contact of the address list, as opposed to one of the user's own (MS-ASCMD, Type).
const OF_THE_LIST: u8 = 1;
/// Names of one ResolveRecipients, and certificates of one ValidateCert (MS-ASCMD 3.1.5.10).
const MOST_NAMES: usize = 100;
const MOST_CERTIFICATES: usize = 100;
/// Free and busy times of one answer: as many as it can have names. A name can match many users, and
/// the times of 62 days are 2,976 digits for each.
const MOST_AVAILABILITIES: usize = MOST_NAMES;
/// Free and busy times are asked for half an hour at least (MS-ASCMD, EndTime), and 62 days at most: the
/// longest time that Exchange's availability service looks at.
const SHORTEST: SignedDuration = SignedDuration::from_mins(30);
const LONGEST: SignedDuration = SignedDuration::from_hours(62 * 24);
/// A request without EndTime asks for seven days (MS-ASCMD 2.2.3.61.1).
const DEFAULT_PERIOD: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Call<'_> {
    pub(super) async fn resolve_recipients(&self) -> Outcome {
        let request = ResolveRecipientsRequest::decode(self.body)?;
        self.ask(Operation::CheckPolicy).await?;
        let period = match request.availability.as_ref().map(period) {
            Some(None) => return self.not_resolved(),
            period => period.flatten(),
        };
        if request.to.len() > MOST_NAMES {
            return self.not_resolved();
        }
        let mut responses = Vec::with_capacity(request.to.len());
        let mut left = MOST_AVAILABILITIES;
        // A name that is asked for again is not looked for again.
        let mut resolved: HashMap<String, Vec<String>> = HashMap::new();
        for to in request.to {
            let mut recipients = Vec::new();
            let name = local_part(&to).to_lowercase();
            let users = match resolved.get(&name) {
                Some(users) => Vec::clone(users),
                None => self.resolved(&name).await?,
            };
            resolved.insert(name, users.clone());
            for user in users {
                recipients.push(self.recipient(user, period, &mut left).await?);
            }
            let status = match recipients.len() {
                0 => ResolveRecipientsStatus::NotFound,
                1 => ResolveRecipientsStatus::Success,
                _ => ResolveRecipientsStatus::Ambiguous,
            };
            responses.push(ResolvedRecipients {
                to,
                status,
                recipients,
            });
        }
        let answer = ResolveRecipientsAnswer {
            status: ResolveRecipientsStatus::Success,
            responses,
            skipped: Skipped::default(),
        };
        self.body(answer.encode()?)
    }

    fn not_resolved(&self) -> Outcome {
        let answer = ResolveRecipientsAnswer {
            status: ResolveRecipientsStatus::ProtocolError,
            responses: Vec::new(),
            skipped: Skipped::default(),
        };
        self.body(answer.encode()?)
    }

    async fn recipient(
        &self,
        user: String,
        period: Option<(Timestamp, Timestamp)>,
        left: &mut usize,
    ) -> Result<Recipient<'static>, Refusal> {
        let availability = match period {
            None => None,
            Some(_) if *left == 0 => Some(RecipientAvailability {
                status: ResolveRecipientsStatus::from_code(
                    GlobalStatus::AvailabilityTooManyRecipients.code(),
                ),
                merged_free_busy: None,
            }),
            Some((start, end)) => {
                *left -= 1;
                let operation = Operation::FreeBusy {
                    user: user.clone(),
                    start: start.as_second(),
                    end: end.as_second(),
                };
                let digits = match self.ask(operation).await? {
                    StoreReply::FreeBusy(digits) => Some(digits),
                    _ => None,
                };
                Some(RecipientAvailability {
                    status: match digits {
                        Some(_) => ResolveRecipientsStatus::Success,
                        None => ResolveRecipientsStatus::ServerError,
                    },
                    merged_free_busy: digits.map(Into::into),
                })
            }
        };
        Ok(Recipient {
            kind: OF_THE_LIST,
            email: address(&user).into(),
            display_name: user.into(),
            availability,
        })
    }

    /// This server trusts no authority.
    pub(super) async fn validate_cert(&self) -> Outcome {
        let request = ValidateCertRequest::decode(self.body)?;
        self.ask(Operation::CheckPolicy).await?;
        let count = request.certificates.len();
        let answer = if count > MOST_CERTIFICATES {
            ValidateCertAnswer {
                status: ValidateCertStatus::ProtocolError,
                certificates: Vec::new(),
            }
        } else {
            ValidateCertAnswer {
                status: ValidateCertStatus::Success,
                certificates: vec![ValidateCertStatus::UntrustedSource; count],
            }
        };
        self.body(answer.encode()?)
    }
}

/// Begin and end of a time that free and busy times can be asked for.
fn period(asked: &Availability<'_>) -> Option<(Timestamp, Timestamp)> {
    let start: Timestamp = asked.start.trim().parse().ok()?;
    let end: Timestamp = match &asked.end {
        Some(end) => end.trim().parse().ok()?,
        None => start.checked_add(DEFAULT_PERIOD).ok()?,
    };
    let length = end.duration_since(start);
    (SHORTEST..=LONGEST)
        .contains(&length)
        .then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_half_an_hour_to_62_days() {
        const START: &str = "2026-03-01T00:00:00.000Z";
        for (start, end, is_good) in [
            (START, "2026-03-01T00:30:00.000Z", true),
            (START, "2026-05-02T00:00:00.000Z", true),
            (START, "2026-05-02T00:00:00.001Z", false),
            (START, "2026-03-01T00:29:59.999Z", false),
            (START, START, false),
            (START, "2026-02-28T00:00:00.000Z", false),
            (START, "noon", false),
            ("noon", START, false),
            ("", "", false),
        ] {
            let asked = Availability {
                start: start.into(),
                end: Some(end.into()),
            };
            assert_eq!(period(&asked).is_some(), is_good, "{start} to {end}");
        }
    }

    #[test]
    fn a_period_without_an_end_is_seven_days() {
        let asked = |start: &'static str| Availability {
            start: start.into(),
            end: None,
        };
        let (start, end) = period(&asked("2026-03-01T00:00:00.000Z")).unwrap();
        assert_eq!(end.duration_since(start), SignedDuration::from_hours(168));
        assert_eq!(period(&asked("noon")), None);
        assert_eq!(period(&asked("9999-12-30T00:00:00.000Z")), None);
    }
}
