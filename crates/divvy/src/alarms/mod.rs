//! Alarms: rules about stations and feeds, and the notices that they yield.
//!
//! ```text
//!  file        rules and targets as TOML → Rules, or a mistake with its line and column
//!  rule        what a rule states; describe: the same as a sentence
//!  selection   names and ids in rules → ids of listed stations
//!  condition   whether a station is empty, full, or likely to be
//!  track       one condition over time: debounce, reminders, gaps
//!  station_set which stations the list has, compared with before
//!  evaluator   events of a system → notices
//!  meaning     which parts of a rule its state is of
//!  state       what an evaluator has to keep over a restart
//!  notice      what is sent;  sentence: its text;  signature: how a receiver verifies who sent it
//! ```
//!
//! Nothing here reads a clock, a file or the network: the caller passes events with their times, so that
//! the rules yield the same notices for a feed that is watched and for its history.

mod condition;
mod describe;
mod evaluator;
mod file;
mod meaning;
mod notice;
mod rule;
mod selection;
mod sentence;
mod signature;
mod state;
mod station_set;
mod track;

pub use condition::{Expectation, Forecasts};
pub use describe::{describe_rule, describe_target};
pub use evaluator::{Evaluator, Event, Readings, Setting};
pub use file::RulesError;
pub use notice::{Ending, Notice, NoticeState, Values};
pub use rule::{Combine, Delivery, Rule, Rules, Target, When};
pub use signature::{SIGNATURE_HEADER, sign};
pub use state::SavedState;

#[cfg(test)]
mod tests;
