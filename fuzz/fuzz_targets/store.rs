//! Any bytes as commands of several devices against the mock's back end and its store, as requests and
//! answers in WBXML: everything that is stored can be sent, every device converges to the same mailbox, no
//! message is delivered or sent twice, and no answer is Status 110.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|commands: &[u8]| {
    if let Err(broken) = mock_server::play::play(commands) {
        panic!("{broken}");
    }
});
