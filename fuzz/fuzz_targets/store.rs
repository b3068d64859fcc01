//! Any bytes as commands of several devices against the mock's store: everything that is stored can be sent,
//! every device converges to the same mailbox, and no answer is Status 110.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|commands: &[u8]| {
    if let Err(broken) = mock_server::play::play(commands) {
        panic!("{broken}");
    }
});
