//! The `easload` program.

/// Thousands of requests of a dozen small texts each: with the C library's allocator they cost the mock
/// a sixth more time, and each held Ping 2.9 kB more (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    easload::cli::main()
}
