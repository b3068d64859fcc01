//! Exit codes.

use std::process::ExitCode;

use verdict::judge::Verdict;

use crate::run::{Interrupt, MockError, RunError};

macro_rules! exits {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)+) => {
        /// How the program ends; one sentence each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Exit { $(#[doc = $text] $name,)+ }

        impl Exit {
            /// The number.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)+ }
            }
        }

        /// For the help.
        pub(super) const TABLE: &str = concat!("Exit codes:\n", $("  ", stringify!($code), "  ", $text, "\n",)+);
    };
}

exits! {
    Passed = 0, "passed";
    Internal = 1, "internal error";
    Usage = 2, "usage or scenario error";
    Failed = 3, "a check failed";
    Worse = 4, "worse than the baseline";
    Inconclusive = 5, "inconclusive: symptom not reproduced, no data, or the run broke off";
    Unreachable = 6, "target not usable before the load: not reachable, no ActiveSync, or the login is refused";
    Unwritten = 7, "passed, but a report or another output could not be written";
    Interrupted = 130, "interrupted; what was measured is reported";
    Terminated = 143, "terminated; what was measured is reported";
}

impl Exit {
    /// The code if an output could not be written. A verdict's own code is more important than that.
    #[must_use]
    pub const fn unwritten(self) -> Self {
        match self {
            Self::Passed => Self::Unwritten,
            other => other,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<&RunError> for Exit {
    /// The same for every command that opens a target.
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Unreachable { .. } => Self::Unreachable,
            RunError::Descriptors { .. }
            | RunError::Accounts(_)
            | RunError::Target(_)
            | RunError::Files(_)
            | RunError::Mock(MockError::Refused)
            | RunError::Metrics { .. } => Self::Usage,
            RunError::Interrupted(Interrupt::Term) => Self::Terminated,
            RunError::Interrupted(_) => Self::Interrupted,
            RunError::Mock(_) | RunError::Runtime(_) => Self::Internal,
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Failed => Self::Failed,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}
