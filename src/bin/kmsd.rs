//! The key service as a daemon.

fn main() -> std::process::ExitCode {
    kmsfs::cli::kmsd::run()
}
