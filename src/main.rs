//! The `easload` program.

fn main() -> std::process::ExitCode {
    easload::cli::main()
}
