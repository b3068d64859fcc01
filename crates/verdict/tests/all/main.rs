//! Made-up servers whose truth is known: what the judge says of a run against each.

mod checks;
mod compare;
mod evidence;
mod recycle;
mod statistics;
mod story;
