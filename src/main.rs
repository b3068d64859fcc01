//! The `easload` program.

fn main() -> std::process::ExitCode {
    easload::cli::main()
}
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
