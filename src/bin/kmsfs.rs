//! The filesystem and its command line.

fn main() -> std::process::ExitCode {
    kmsfs::cli::run()
}
