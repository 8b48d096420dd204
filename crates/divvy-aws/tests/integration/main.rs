//! Tests of the stores and Lambdas on AWS, on an emulator within the process.
//!
//! They are one binary, because linking takes longer than compiling a file of tests.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod conformance;
mod export;
mod faults;
mod fixture;
mod index;
mod lambda_runtime;
mod loads;
mod new_tables;
mod paused;
mod process;
mod real;
mod repair;
mod simulator;
mod stalls;
