//! The command line: what it prints of prepared answers, and how the program ends.

mod print;
mod program;
