//! Notices of alarms that are not sent yet, and their targets.
//!
//! ```text
//!  rules_file  the file of --rules
//!  folder      the folder with states, outboxes and refused notices, held by one process
//!  outbox      notices that wait for one target, each in a file;  durable: writes such files
//!  sender      one notice to stdout, a program (sender/program) or a webhook (sender/webhook)
//!  delivery    outbox → sender, again and again, until the target takes it
//!  target_health  what is printed about a target that does not
//! ```

mod delivery;
mod durable;
mod folder;
mod outbox;
mod rules_file;
mod sender;
mod target_health;

pub use delivery::{Delivery, Listener};
pub use folder::{Folder, refused_file};
pub use rules_file::{expect_no_forecasts, read_rules};
pub use sender::{Outcome, Sender};
