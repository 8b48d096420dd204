//! Tests that run the program.
//!
//! They are one binary, because linking takes longer than compiling a file of tests.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod alarms;
mod alarms_on_history;
mod aws_on_a_bad_day;
mod cases;
mod dynamodb;
mod inputs;
mod kill;
mod killed_replay;
mod other_engine;
mod program;
mod screens;
mod silent;
mod transcripts;
mod watch;
mod whose;
