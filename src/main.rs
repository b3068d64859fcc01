//! The `easload` program.

/// Thousands of requests of a dozen small texts each: with the C library's allocator that was a third
/// of the mock's time, and a tenth more memory for each held Ping (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    easload::cli::main()
}
