//! The steps of a load.

use jiff::Timestamp;

use super::LoadError;
use super::contents::Contents;
use super::pipeline::{
    OtherWords, Outputs, Progress, ReadOutcome, TripSink, TripSource, other_words_note,
};
use super::rejects_once::RejectsOnce;
use crate::attribution::Attribution;
use crate::issue::{RejectSink, Skipped};
use crate::model::{SampleFraction, System, Systems, TripBatch};
use crate::sources::archive::Archive;
use crate::sources::station_feed;
use crate::sources::trips_csv::{TimeHints, UtcTimes};
use crate::store::{
    ArchiveId, ArchiveRead, ContentHash, Incoming, LedgerEntry, LoadedArchive, Store, StoreError,
};

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The system whose trips these are. `None` decides by the evidence of the archive and the store
    /// ([`attribution`](crate::attribution)).
    pub system: Option<System>,
    /// `system` is taken even if most coordinates lie in the area of another one.
    pub force_system: bool,
    /// The systems that are known.
    pub systems: Systems,
    /// Dates have the day first, even if the rows suggest otherwise.
    pub day_first: bool,
    /// How to read times that end in `Z`. `None` refuses an archive with such times.
    pub utc_times: Option<UtcTimes>,
    /// What to do with loaded archives of the same name and other content.
    pub same_name: SameName,
    /// Loads a fraction of the trips, as an archive of another name and content. `None` loads all.
    pub sample: Option<SampleFraction>,
    /// The present moment.
    pub now: Timestamp,
}

impl LoadOptions {
    /// Makes the options of a load of all trips, which detects the system and the order of days and
    /// months, and keeps archives of the same name.
    pub fn new(now: Timestamp) -> Self {
        Self {
            system: None,
            force_system: false,
            systems: Systems::default(),
            day_first: false,
            utc_times: None,
            same_name: SameName::KeepBoth,
            sample: None,
            now,
        }
    }

    pub(super) fn hints(&self) -> TimeHints {
        TimeHints {
            day_first: self.day_first,
            utc_times: self.utc_times,
        }
    }
}

/// What to do with loaded archives that have the name of a new one, and other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameName {
    /// The new one is not loaded.
    Refuse,
    /// The new one supersedes them. An archive of the same content is loaded again, too, if its
    /// stored trips are damaged.
    Replace,
    /// They stay in the store beside the new one.
    KeepBoth,
}

/// The result of a load.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The ledger entry. `None` where the archive holds no trips, only station lists.
    pub entry: Option<LedgerEntry>,
    /// The archive had been loaded before, and nothing was changed.
    pub already: bool,
    /// The system of the trips, and why it is that one.
    pub attribution: Attribution,
    /// Station lists: the member and its number of stations.
    pub station_lists: Vec<(String, usize)>,
    /// Members that may be tables and were not loaded.
    pub skipped: Vec<Skipped>,
    /// Warnings for the user: what was read otherwise than it stands. One sentence each.
    pub warnings: Vec<String>,
    /// Notes for the user: other members left out, lists with faults. One sentence each.
    pub notes: Vec<String>,
}

impl Loaded {
    pub(super) fn already(entry: LedgerEntry) -> Self {
        Self {
            attribution: Attribution {
                system: entry.id.system.clone(),
                grounds: Vec::new(),
                against: entry.forced_from.clone(),
            },
            skipped: entry.skipped.clone(),
            entry: Some(entry),
            already: true,
            station_lists: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// The arguments of a load.
pub(super) struct Load<'a> {
    pub(super) archive: &'a Archive,
    pub(super) store: &'a dyn Store,
    pub(super) options: &'a LoadOptions,
    pub(super) rejects: &'a dyn RejectSink,
    pub(super) progress: &'a dyn Progress,
}

/// Trips written to the store and not yet committed.
pub(super) struct StagedTrips {
    pub(super) incoming: Box<dyn Incoming>,
    pub(super) read: ArchiveRead,
    /// A note for the user.
    pub(super) note: Option<String>,
    /// Warnings for the user.
    pub(super) warnings: Vec<String>,
}

impl Load<'_> {
    /// Returns the content hash under which the archive is stored. A sample has one of its own.
    pub(super) fn content(&self) -> ContentHash {
        let whole = ContentHash(self.archive.content());
        match self.options.sample {
            None => whole,
            Some(fraction) => {
                let text = format!("{whole} {fraction}");
                ContentHash(xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
            }
        }
    }

    /// Finds the entry of an archive of that content, under any system. `None` where the archive is
    /// to be loaded: with [`SameName::Replace`] also where the stored trips are damaged.
    pub(super) async fn find_loaded(
        &self,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, LoadError> {
        for system in self.store.systems().await? {
            if let Some(entry) = self.store.holding(&system.id, content).await? {
                let is_kept = self.options.same_name != SameName::Replace
                    || self.store.is_intact(&entry).await?;
                return Ok(is_kept.then_some(entry));
            }
        }
        Ok(None)
    }

    /// Reads the trips of the archive into the store. `None` for one without trips.
    pub(super) async fn stage_trips(
        &self,
        contents: &Contents,
        attribution: &Attribution,
        content: ContentHash,
    ) -> Result<Option<StagedTrips>, LoadError> {
        let system = &attribution.system;
        if contents.trips.is_empty() {
            return Ok(None);
        }
        let id = self.archive_id(system, content).await?;
        let rejects = RejectsOnce::new(self.rejects);
        let mut source = TripSource {
            archive: self.archive,
            members: &contents.trips,
            system,
            sample: self.options.sample,
            other_words: OtherWords::Separately,
            hints: self.options.hints(),
        };
        let (incoming, read) = loop {
            let incoming = self.store.begin(&id).await?;
            let outputs = Outputs {
                trips: &Staging(&*incoming),
                rejects: &rejects,
                progress: self.progress,
            };
            match source.read(&outputs)? {
                ReadOutcome::Complete(read) => break (incoming, *read),
                ReadOutcome::TooManyOtherWords => {
                    drop(incoming);
                    rejects.begin_second_pass();
                    source.other_words = OtherWords::Together;
                }
            }
        };
        Ok(Some(StagedTrips {
            incoming,
            warnings: read.warnings.clone(),
            read: ArchiveRead {
                id,
                members: contents.trip_members(),
                rows_read: read.rows_read,
                skipped: [contents.skipped.clone(), read.skipped()].concat(),
                forced_from: attribution.against.clone(),
                rejected: read.rejected,
                totals: read.totals,
                loaded_at: self.options.now,
                replace: self.options.same_name == SameName::Replace,
            },
            note: other_words_note(source.other_words),
        }))
    }

    /// Returns the id under which the archive is stored.
    ///
    /// # Errors
    ///
    /// [`LoadError::SameName`] where an archive of that name is loaded and is not to be replaced.
    async fn archive_id(
        &self,
        system: &System,
        content: ContentHash,
    ) -> Result<ArchiveId, LoadError> {
        let name = match self.options.sample {
            None => self.archive.name().to_owned(),
            Some(fraction) => fraction.archive_name(self.archive.name()),
        };
        let is_loaded = |loaded: &LoadedArchive| loaded.name == name;
        if self.options.same_name == SameName::Refuse
            && self.store.archives(&system.id).await?.iter().any(is_loaded)
        {
            return Err(LoadError::SameName {
                archive: name,
                system: system.id.to_string(),
            });
        }
        Ok(ArchiveId {
            system: system.clone(),
            name,
            content,
        })
    }

    /// Stores the stations of the archive's station lists, and adds a warning for positions that cannot
    /// be right.
    pub(super) async fn store_station_lists(
        &self,
        contents: &mut Contents,
        system: &System,
    ) -> Result<(), StoreError> {
        for list in &mut contents.lists {
            let faults = station_feed::mend_positions(&mut list.list.stations, system.area);
            let faults = station_feed::in_short(&faults).into_iter();
            contents
                .warnings
                .extend(faults.map(|fault| format!("{}: {fault}", list.member)));
            self.store.describe(system, &list.list.stations).await?;
        }
        Ok(())
    }
}

/// Writes trips to a store.
struct Staging<'a>(&'a dyn Incoming);

impl TripSink for Staging<'_> {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        self.0.write(member, batch)
    }

    fn end_member(&self, member: usize) -> Result<(), StoreError> {
        self.0.end_member(member)
    }
}
