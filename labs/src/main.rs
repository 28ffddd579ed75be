//! The program behind `cargo lab`: see [`labs::cli`].

fn main() -> std::process::ExitCode {
    labs::cli::main()
}
