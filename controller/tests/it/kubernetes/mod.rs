//! The Kubernetes API as the source of objects: against a server of the test's
//! that fails on demand, and against a real API server.

mod alike;
mod clusters;
mod population;
mod server;
mod source;
