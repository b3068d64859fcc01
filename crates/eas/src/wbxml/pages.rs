use std::fmt;

/// An element name on the wire: a code page and a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    page: u8,
    token: u8,
}

impl Tag {
    /// Lowest token that stands for a tag; those below are global tokens.
    pub const FIRST_TOKEN: u8 = 0x05;
    /// Highest token: six bits, without the content bit 0x40 and the attribute bit 0x80.
    pub const LAST_TOKEN: u8 = 0x3F;

    pub(crate) const fn new(page: u8, token: u8) -> Self {
        Self { page, token }
    }

    /// A tag by number, `None` if `token` is not within
    /// [`FIRST_TOKEN`](Self::FIRST_TOKEN)`..=`[`LAST_TOKEN`](Self::LAST_TOKEN).
    #[must_use]
    pub const fn from_numbers(page: u8, token: u8) -> Option<Self> {
        if token < Self::FIRST_TOKEN || token > Self::LAST_TOKEN {
            return None;
        }
        Some(Self { page, token })
    }

    /// The tag of that name on that page. The names of older revisions of the specification and
    /// of other implementations are understood too, as long as they mean one token only.
    #[must_use]
    pub fn from_name(page: &Page, name: &str) -> Option<Self> {
        if let Some(token) = page.tokens.iter().find(|token| token.name == name) {
            return Some(token.tag);
        }
        let mut others = page
            .tokens
            .iter()
            .filter(|token| token.aliases.contains(&name));
        match (others.next(), others.next()) {
            (Some(token), None) => Some(token.tag),
            _ => None,
        }
    }

    /// Number of the code page.
    #[must_use]
    pub const fn page(self) -> u8 {
        self.page
    }

    /// The token, without content and attribute bits.
    #[must_use]
    pub const fn token(self) -> u8 {
        self.token
    }

    /// What the specification says of this tag; `None` for a token nobody has published.
    #[must_use]
    pub fn info(self) -> Option<&'static Token> {
        let page = usize::from(self.page);
        let slot = SLOTS.get(page)?[usize::from(self.token & Self::LAST_TOKEN)];
        PAGES[page].tokens.get(usize::from(slot).checked_sub(1)?)
    }

    /// The element's name, if the token is known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.info().map(|token| token.name)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info() {
            Some(token) => write!(
                formatter,
                "{}:{}",
                PAGES[usize::from(self.page)].namespace,
                token.name
            ),
            None => write!(formatter, "token {:#04x} of page {}", self.token, self.page),
        }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One code page (ASWBXML 2.1.2.1).
#[derive(Debug)]
pub struct Page {
    /// Its number.
    pub number: u8,
    /// Its XML namespace.
    pub namespace: &'static str,
    /// Its tokens.
    pub tokens: &'static [Token],
}

impl Page {
    /// The page of an XML namespace. `AirSync` and `AirSync:` mean the same: MS-ASWBXML writes
    /// the first, most other software the second, and letter case differs too.
    #[must_use]
    pub fn from_namespace(namespace: &str) -> Option<&'static Self> {
        let namespace = namespace.strip_suffix(':').unwrap_or(namespace);
        PAGES
            .iter()
            .find(|page| page.namespace.eq_ignore_ascii_case(namespace))
    }
}

/// One row of a code page.
#[derive(Debug)]
pub struct Token {
    /// The tag.
    pub tag: Tag,
    /// The name MS-ASWBXML gives it.
    pub name: &'static str,
    /// Protocol versions that have it, as MS-ASWBXML lists them; `all`; or empty.
    pub versions: &'static str,
    /// Whether today's specification lists it. Others are decoded, never sent by this crate's
    /// commands.
    pub current: bool,
    /// Names found elsewhere for the same token.
    pub aliases: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/pages.rs"));
