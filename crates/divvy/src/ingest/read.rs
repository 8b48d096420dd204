//! Reading of an archive without a store.

use super::LoadError;
use super::attribute::attribute;
use super::contents::Contents;
use super::load::LoadOptions;
use super::pipeline::{
    OtherWords, Outputs, Progress, ReadOutcome, TripSink, TripSource, other_words_note,
};
use crate::issue::{RejectSink, RejectedCounts};
use crate::model::{System, TripBatch};
use crate::sources::archive::Archive;
use crate::store::{ArchiveId, ContentHash};
use crate::tally::Totals;

/// The totals of an archive that was read and not stored.
#[derive(Clone, Debug)]
pub struct ReadThrough {
    /// The archive.
    pub id: ArchiveId,
    /// The names of the members that hold trips, by index.
    pub members: Vec<String>,
    /// Data rows read, over all members.
    pub rows_read: u64,
    /// Rows that did not become trips. Copies are not looked for.
    pub rejected: RejectedCounts,
    /// The totals over all batches.
    pub totals: Totals,
    /// Warnings for the user: members that may be tables and were not read, and what was read
    /// otherwise than it stands. One sentence each.
    pub warnings: Vec<String>,
    /// Notes for the user: other members left out, lists with faults. One sentence each.
    pub notes: Vec<String>,
}

/// Reads an archive again for its rejected rows. Duplicates are not among them: the store decides which
/// copies are, when the archive is loaded.
///
/// # Errors
///
/// [`LoadError`] where the archive cannot be read.
pub fn read_rejected(
    archive: &Archive,
    system: &System,
    options: &LoadOptions,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<(), LoadError> {
    let contents = Contents::examine(archive, &options.systems, options.hints())?;
    let source = TripSource {
        archive,
        members: &contents.trips,
        system,
        sample: None,
        // The words are of no interest, so that there may be any number of them.
        other_words: OtherWords::Together,
        hints: options.hints(),
    };
    source.read(&Outputs {
        trips: &|_: usize, _: TripBatch| Ok(()),
        rejects,
        progress,
    })?;
    Ok(())
}

/// Reads the trips of an archive to the end, verifies its checksums, and passes the trips to `trips`.
/// These are valid only when this returns: until then the archive may prove damaged. An archive
/// without trips has empty totals.
///
/// # Errors
///
/// [`LoadError`]; an error of `trips` is [`LoadError::Store`].
pub fn read(
    archive: &Archive,
    options: &LoadOptions,
    trips: &dyn TripSink,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<ReadThrough, LoadError> {
    let contents = Contents::examine(archive, &options.systems, options.hints())?;
    let system = attribute(&contents, archive.name(), options, &[])?.system;
    let mut source = TripSource {
        archive,
        members: &contents.trips,
        system: &system,
        sample: options.sample,
        other_words: OtherWords::Separately,
        hints: options.hints(),
    };
    // A first pass decides how words are counted, since the caller cannot undo what it received.
    if let ReadOutcome::TooManyOtherWords = source.read(&Outputs::none())? {
        source.other_words = OtherWords::Together;
    }
    let outputs = Outputs {
        trips,
        rejects,
        progress,
    };
    let ReadOutcome::Complete(read) = source.read(&outputs)? else {
        unreachable!("the second pass reads the same bytes as the first");
    };
    let note = other_words_note(source.other_words);
    let members = contents.trip_members();
    let mut notes = contents.notes;
    notes.extend(note);
    let skipped = contents.skipped.into_iter().chain(read.skipped());
    let mut warnings: Vec<String> = skipped.map(|skipped| skipped.to_string()).collect();
    warnings.extend(contents.warnings);
    warnings.extend(read.warnings);
    Ok(ReadThrough {
        id: ArchiveId {
            system,
            name: archive.name().into(),
            content: ContentHash(archive.content()),
        },
        members,
        rows_read: read.rows_read,
        rejected: read.rejected,
        totals: read.totals,
        warnings,
        notes,
    })
}
