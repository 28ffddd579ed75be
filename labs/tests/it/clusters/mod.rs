//! The labs `kubernetes` and `kind`: a real Kubernetes of three nodes in two racks, behind BIRD and FRR.

mod balanced;
mod end_to_end;
mod install;
mod kind;
mod laptop;
mod leave;
mod run;
mod streams;
