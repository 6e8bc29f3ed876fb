//! Parses the arguments, runs the command, returns its exit code.

fn main() -> std::process::ExitCode {
    deployer::cli::main()
}
