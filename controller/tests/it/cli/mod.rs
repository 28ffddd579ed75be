//! The command line: what it prints of prepared answers, and how the program ends.

mod live;
mod print;
mod program;
