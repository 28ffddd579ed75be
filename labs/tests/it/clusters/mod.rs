//! The lab `kubernetes`: a real Kubernetes of three nodes in two racks, behind BIRD and FRR.

mod end_to_end;
mod install;
mod laptop;
mod run;
mod streams;
