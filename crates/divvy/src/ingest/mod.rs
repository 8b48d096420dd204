//! Loading of trip archives, and polling of station feeds.
//!
//! ```text
//!  load   contents (what the members are) ─► attribute (whose they are) ─► pipeline (inflate ▸ parse, tally ▸ store) ─► commit
//!  read   contents ─► pipeline ─► a TripSink of the caller, no store
//!  poll   feed_sources (files or addresses) ─► snapshot ─► apply
//!  replay recorded feeds, one after another ─► snapshot ─► apply
//!  watch  a system's addresses, again and again ─► snapshot ─► apply
//! ```
//!
//! Both `load` and `poll` add changes to the store's change stream;
//! [`refresh::drain`](crate::refresh::drain) updates the counts they concern.

mod attribute;
mod contents;
mod error;
mod feed_sources;
mod load;
mod pipeline;
mod poll;
mod read;
mod rejects_once;
mod replay;
mod snapshot_time;
pub mod watch;

pub use error::{LoadError, PollError};
pub use load::{LoadOptions, Loaded, SameName};
pub use pipeline::{Progress, TripSink};
pub use poll::{PollOptions, Polled, apply, poll};
pub use read::{ReadThrough, read, read_rejected};
pub use replay::{Replay, ReplaySummary};
pub use snapshot_time::SnapshotTime;

use self::contents::Contents;
use self::load::Load;
use crate::issue::RejectSink;
use crate::sources::archive::Archive;
use crate::store::Store;

/// Loads one archive: every row of its trip files becomes a trip or a rejected row.
///
/// # Errors
///
/// [`LoadError`]; the store is then unchanged, except for station lists where the store itself
/// failed after it had stored them.
pub async fn load(
    archive: &Archive,
    store: &dyn Store,
    options: &LoadOptions,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<Loaded, LoadError> {
    let load = Load {
        archive,
        store,
        options,
        rejects,
        progress,
    };
    let content = load.content();
    if let Some(entry) = load.find_loaded(content).await? {
        let loaded = &entry.id.system;
        if let Some(given) = options
            .system
            .as_ref()
            .filter(|given| given.id != loaded.id)
        {
            return Err(LoadError::LoadedElsewhere {
                archive: archive.name().into(),
                loaded: loaded.id.to_string(),
                given: given.id.to_string(),
            });
        }
        return Ok(Loaded::already(entry));
    }
    let mut contents = Contents::examine(archive, &options.systems, options.hints())?;
    let attribution =
        attribute::attribute_in(store, &mut contents, archive.name(), options).await?;
    let system = &attribution.system;
    let staged = load.stage_trips(&contents, &attribution, content).await?;
    // Before the commit, because the lists of an archive in the ledger are not read again.
    load.store_station_lists(&mut contents, system).await?;
    let entry = match staged {
        Some(staged) => {
            progress.storing();
            contents.notes.extend(staged.note);
            contents.warnings.extend(staged.warnings);
            contents.skipped = staged.read.skipped.clone();
            Some(staged.incoming.commit(staged.read, rejects).await?)
        }
        None => None,
    };
    Ok(Loaded {
        entry,
        already: false,
        attribution,
        station_lists: contents.station_counts(),
        skipped: contents.skipped,
        warnings: contents.warnings,
        notes: contents.notes,
    })
}
