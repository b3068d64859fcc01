//! How a device says who it is: the same header for a whole run, or a token that is renewed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The longest time before its end at which a token is renewed, so that none expires on its way.
const MARGIN: Duration = Duration::from_secs(60);
/// After a failure the source is left alone for so long, however many devices wait for a token.
const PAUSE: Duration = Duration::from_secs(5);
/// A token that a source calls shorter lived is kept so long all the same: every request would fetch
/// another.
const SHORTEST: Duration = Duration::from_secs(5);
/// Tokens fetched at once: thousands of users may need one in the same second, and each may be a process.
static FETCHES: Semaphore = Semaphore::const_new(8);
/// Entra ID's largest tokens have some 10 kB, and HTTP.sys takes headers of 16 kB.
const MAX_TOKEN: usize = 16 << 10;

/// The Authorization header of a user's devices.
#[derive(Clone)]
pub enum Authorization {
    /// The same for the whole run.
    Fixed(Arc<str>),
    /// A Bearer token, shared by the devices that it is for.
    Token(Arc<Tokens>),
    /// None: the device shows a certificate (ASHTTP 2.2.3.1.2).
    Certificate,
}

/// By hand, so that no debug output ever holds a password.
impl std::fmt::Debug for Authorization {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Fixed(_) => "Fixed(***)",
            Self::Token(_) => "Token(***)",
            Self::Certificate => "Certificate",
        })
    }
}

impl From<String> for Authorization {
    fn from(header: String) -> Self {
        Self::Fixed(header.into())
    }
}

impl Authorization {
    /// The scheme, as in `WWW-Authenticate`; `None` where a certificate stands for it.
    pub(super) fn scheme(&self) -> Option<&str> {
        match self {
            Self::Fixed(header) => header.split_once(' ').map(|(scheme, _)| scheme),
            Self::Token(_) => Some("Bearer"),
            Self::Certificate => None,
        }
    }

    /// The source of the tokens, if there are any.
    pub(super) fn tokens(&self) -> Option<&Arc<Tokens>> {
        match self {
            Self::Token(tokens) => Some(tokens),
            Self::Fixed(_) | Self::Certificate => None,
        }
    }

    /// The header's value now.
    ///
    /// # Errors
    /// When there is no token, in words without a secret.
    pub async fn header(&self) -> Result<Arc<str>, String> {
        match self {
            Self::Fixed(header) => Ok(Arc::clone(header)),
            Self::Token(tokens) => {
                let current = tokens.current().await;
                current.map(|current| current.header).map_err(|no| no.text)
            }
            Self::Certificate => {
                Err("devices that show a certificate send no Authorization header".to_owned())
            }
        }
    }
}

/// A token as its source gives it.
pub struct Token {
    /// What stands after `Bearer `.
    pub value: String,
    /// How long it is good, if that is known.
    pub lasts: Option<Duration>,
}

/// Why a source gives no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoToken {
    /// In words, without a secret.
    pub text: String,
    /// The source did not take the user's password: an account may lock after some of these.
    pub is_refusal: bool,
}

impl From<String> for NoToken {
    fn from(text: String) -> Self {
        Self {
            text,
            is_refusal: false,
        }
    }
}

/// What a source is asked for.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Token, NoToken>> + Send + 'a>>;

/// Where tokens come from.
pub trait TokenSource: Send + Sync + 'static {
    /// Fetches a token.
    fn fetch(&self) -> Fetching<'_>;
}

/// A token and its source. Renewed by the first device that needs it; the others wait.
pub struct Tokens {
    source: Box<dyn TokenSource>,
    slot: Mutex<Slot>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Slot {
    header: Option<Arc<str>>,
    /// Counts tokens.
    number: u32,
    /// To be renewed from then on.
    until: Option<Instant>,
    /// When the source failed last, and why.
    failed: Option<(Instant, String)>,
}

/// The token that is good now.
pub(super) struct Current {
    pub(super) header: Arc<str>,
    pub(super) number: u32,
    /// It was fetched for this call.
    pub(super) is_new: bool,
}

impl Tokens {
    /// No token yet.
    #[must_use]
    pub fn new(source: impl TokenSource) -> Self {
        Self {
            source: Box::new(source),
            slot: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    fn good(&self) -> Option<Current> {
        let slot = self.slot.lock();
        if slot.until.is_some_and(|until| until <= Instant::now()) {
            return None;
        }
        Some(Current {
            header: Arc::clone(slot.header.as_ref()?),
            number: slot.number,
            is_new: false,
        })
    }

    pub(super) async fn current(&self) -> Result<Current, NoToken> {
        if let Some(good) = self.good() {
            return Ok(good);
        }
        let _turn = self.turn.lock().await;
        // Whoever had the turn before has fetched one for all.
        if let Some(good) = self.good() {
            return Ok(good);
        }
        let failed = self.slot.lock().failed.clone();
        if let Some((at, text)) = failed
            && at.elapsed() < PAUSE
        {
            return Err(text.into());
        }
        let fetched = match FETCHES.acquire().await {
            Ok(_permit) => self.source.fetch().await,
            Err(_) => Err("no more tokens are fetched".to_owned().into()),
        };
        let fetched = fetched.and_then(|token| checked(token).map_err(NoToken::from));
        let mut slot = self.slot.lock();
        match fetched {
            Ok(token) => {
                let header: Arc<str> = format!("Bearer {}", token.value).into();
                // A tenth of a short life, or every request would renew it.
                let lasts = token.lasts.map(|lasts| lasts.max(SHORTEST));
                let lasts = lasts.map(|lasts| lasts - MARGIN.min(lasts / 10));
                *slot = Slot {
                    header: Some(Arc::clone(&header)),
                    number: slot.number.wrapping_add(1),
                    until: lasts.and_then(|lasts| Instant::now().checked_add(lasts)),
                    failed: None,
                };
                Ok(Current {
                    header,
                    number: slot.number,
                    is_new: true,
                })
            }
            Err(no) => {
                slot.failed = Some((Instant::now(), no.text.clone()));
                Err(no)
            }
        }
    }

    /// Whether that token is still in use.
    fn is_current(&self, number: u32) -> bool {
        let slot = self.slot.lock();
        slot.number == number && slot.header.is_some()
    }

    /// The server does not take that token: it is not used again.
    pub(super) fn refused(&self, number: u32) {
        let mut slot = self.slot.lock();
        if slot.number == number {
            slot.header = None;
        }
    }
}

/// What one device has sent to say who it is.
#[derive(Default)]
pub(super) struct Login {
    /// Number of the Bearer token that was sent last.
    token: u32,
}

/// An Authorization header.
pub(super) struct Header {
    /// `None` where a certificate stands for it.
    pub(super) value: Option<Arc<str>>,
    /// A token was fetched for it.
    pub(super) is_new: bool,
}

impl Login {
    /// The header of the next request.
    pub(super) async fn header(&mut self, by: &Authorization) -> Result<Header, NoToken> {
        let value = match by {
            Authorization::Fixed(header) => Some(Arc::clone(header)),
            Authorization::Certificate => None,
            Authorization::Token(tokens) => {
                // Boxed, because every device would hold room for it.
                let current = Box::pin(tokens.current()).await?;
                self.token = current.number;
                return Ok(Header {
                    value: Some(current.header),
                    is_new: current.is_new,
                });
            }
        };
        Ok(Header {
            value,
            is_new: false,
        })
    }

    /// Whether the token that was sent last is still in use.
    pub(super) fn is_current(&self, tokens: &Tokens) -> bool {
        tokens.is_current(self.token)
    }

    /// The token that was sent last is not used again.
    pub(super) fn give_up(&self, tokens: &Tokens) {
        tokens.refused(self.token);
    }
}

/// The schemes in a `WWW-Authenticate` header (RFC 9110 11.6.1): challenges and their parameters are
/// separated alike, by commas that stand in no quotes.
pub(super) fn schemes(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = line.split(move |letter| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    });
    parts.filter_map(|part| {
        let word = part.split_whitespace().next()?;
        (!word.contains('=')).then_some(word)
    })
}

/// A token is put into a header as it is.
fn checked(token: Token) -> Result<Token, String> {
    let is_good = |byte: u8| byte.is_ascii_graphic();
    if token.value.is_empty() {
        return Err("the token is empty".to_owned());
    }
    if token.value.len() > MAX_TOKEN {
        return Err(format!("the token has more than {MAX_TOKEN} bytes"));
    }
    if !token.value.bytes().all(is_good) {
        return Err("the token holds something else than visible ASCII".to_owned());
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Gives `t1`, `t2` …, good for a minute; the third time it fails.
    struct Counting(Arc<AtomicU32>);

    impl TokenSource for Counting {
        fn fetch(&self) -> Fetching<'_> {
            Box::pin(async {
                let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
                if number == 3 {
                    return Err("no more".to_owned().into());
                }
                Ok(Token {
                    value: format!("t{number}"),
                    lasts: Some(Duration::from_secs(60)),
                })
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_fetch_serves_all_and_a_token_is_renewed_before_its_end() {
        let asked = Arc::new(AtomicU32::new(0));
        let tokens = Tokens::new(Counting(Arc::clone(&asked)));
        let (a, b) = tokio::join!(tokens.current(), tokens.current());
        let (a, b) = (a.ok().unwrap(), b.ok().unwrap());
        assert_eq!((&*a.header, &*b.header), ("Bearer t1", "Bearer t1"));
        assert!(a.is_new != b.is_new);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(Duration::from_secs(53)).await;
        assert_eq!(&*tokens.current().await.ok().unwrap().header, "Bearer t1");
        tokio::time::advance(Duration::from_secs(2)).await;
        let second = tokens.current().await.ok().unwrap();
        assert_eq!(&*second.header, "Bearer t2");
        // An answer to the first comes late and does not cost the second.
        tokens.refused(a.number);
        assert_eq!(&*tokens.current().await.ok().unwrap().header, "Bearer t2");
        tokens.refused(second.number);
        for _ in 0..10 {
            let error = tokens.current().await.err().unwrap();
            assert_eq!((error.text.as_str(), error.is_refusal), ("no more", false));
        }
        assert_eq!(
            asked.load(Ordering::Relaxed),
            3,
            "a failure is not hammered"
        );
        tokio::time::advance(PAUSE).await;
        assert_eq!(&*tokens.current().await.ok().unwrap().header, "Bearer t4");
    }

    #[test]
    fn schemes_are_told_from_their_parameters() {
        let of = |line| schemes(line).collect::<Vec<_>>();
        assert_eq!(of("Negotiate, NTLM"), ["Negotiate", "NTLM"]);
        assert_eq!(
            of("Digest realm=\"Basic, Bearer\", qop=\"auth,auth-int\", basic realm=\"x\""),
            ["Digest", "basic"]
        );
        assert_eq!(of("Negotiate YII=="), ["Negotiate"]);
        assert!(of(" , ").is_empty());
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_token() {
        for value in ["", "a b", "a\r\nX: y", "ä", &"x".repeat(MAX_TOKEN + 1)] {
            let token = Token {
                value: value.to_owned(),
                lasts: None,
            };
            assert!(checked(token).is_err());
        }
        let fixed = Authorization::from("Basic hush".to_owned());
        assert!(!format!("{fixed:?}").contains("hush"));
    }
}
