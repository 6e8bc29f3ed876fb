//! Parses the arguments, runs the command, returns its exit code. Never does anything else.

fn main() -> std::process::ExitCode {
    deployer::cli::main()
}
