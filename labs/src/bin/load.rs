//! The load generator: see [`labs::load`].

fn main() -> std::process::ExitCode {
    labs::load::main()
}
