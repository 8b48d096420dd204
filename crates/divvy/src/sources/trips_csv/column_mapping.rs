//! How the columns of one trip file are read: detected from its header and first rows.

use std::io::Read;

use super::TripsError;
use super::column_names::Column;
use super::date_order::{FoundOrder, is_time};
use super::duration_unit::{DurationUnit, FoundUnit};
use super::first_rows::FirstRows;
use super::forms::{Form, Publisher, StationIds};
use super::found_header::{FoundHeader, Open, names};
use super::rows::Rows;
use super::schema::Header;
use super::time::DateOrder;
use super::unread::unread;
use super::zoned::{TimeHints, UtcTimes};
use crate::attribution::{self, Evidence, HeaderEvidence, PublisherEvidence};
use crate::model::{IdShape, System, Systems};

/// How many rows are examined to detect units and the system.
const SAMPLE_ROWS: usize = 1000;

/// How the columns of one trip file are read.
#[derive(Clone, Debug)]
pub struct ColumnMapping {
    pub(super) header: Header,
    /// How many lines stand before the header.
    pub(super) lines_before: usize,
    /// What separates the cells.
    pub(super) separator: u8,
    pub(super) utc_times: Option<UtcTimes>,
    /// The systems by which further headers in the file are recognised.
    pub(super) systems: Systems,
    pub(super) order: FoundOrder,
    /// Units of the duration column in a second. `None` where no unit agrees with the clocks: durations
    /// are not used.
    pub(super) durations_per_second: Option<f64>,
    /// Every id of origins, or of destinations, in the sample ends in `.0`: a program has read the
    /// column as floats.
    pub(super) ids_were_numbers: bool,
    /// Where the form has the ids of stations in the names: most names have a number in brackets.
    pub(super) names_have_numbers: bool,
    evidence: Evidence,
    found_unit: Option<FoundUnit>,
    /// A duration that is not understood, where most are not.
    unknown_duration: Option<String>,
}

impl ColumnMapping {
    /// Reads the header and the first rows of a file, and decides how to read its columns.
    ///
    /// While the order of day and month is ambiguous, further rows are read until one is not: the
    /// order is one for all rows up to the next header. `hints` may state it beforehand. A header that
    /// another header follows at once has no rows, and does not count.
    ///
    /// # Errors
    ///
    /// [`TripsError`] for a file that is no trip file or has no rows, and for times of which the first
    /// rows do not show what they mean.
    pub fn detect(open: Open<'_>, file: &str, hints: TimeHints) -> Result<Self, TripsError> {
        Self::detect_among(&Systems::default(), open, file, hints)
    }

    /// Does what [`detect`](Self::detect) does, with other systems than the built-in ones.
    ///
    /// # Errors
    ///
    /// Those of [`detect`](Self::detect).
    pub fn detect_among(
        systems: &Systems,
        open: Open<'_>,
        file: &str,
        hints: TimeHints,
    ) -> Result<Self, TripsError> {
        let read_error = |source| TripsError::Read {
            file: file.into(),
            source,
        };
        let FoundHeader {
            mut header,
            mut rows,
            mut lines_before,
            separator,
        } = FoundHeader::find(open, file, systems)?;
        let mut has_row = rows.advance().map_err(read_error)?;
        while has_row && let Some(next) = Header::recognise(names(&rows), systems) {
            (header, lines_before) = (next, lines_before + 1);
            has_row = rows.advance().map_err(read_error)?;
        }
        let mut first = FirstRows::new(header_evidence(&header));
        // Rows after another header may be of another file.
        while has_row && !is_header(&rows, &header, systems) {
            if first.rows < SAMPLE_ROWS {
                first.examine(&rows, &header, systems);
            } else if first.dates.is_open() && !hints.day_first {
                first.dates.examine(&rows, &header);
            } else {
                break;
            }
            has_row = rows.advance().map_err(read_error)?;
        }
        if first.rows == 0 {
            return Err(TripsError::NoRows { file: file.into() });
        }
        first.dates.refuse(file, &header, hints)?;
        let order = if hints.day_first {
            FoundOrder::without_rows(DateOrder::DayFirst, true)
        } else {
            std::mem::take(&mut first.dates).order(file, &header)?
        };
        let found_unit = first.duration_unit(order.order, &header);
        let names_have_numbers = first.names_have_numbers();
        let ids_were_numbers = first.ids_were_numbers();
        Ok(Self {
            order,
            durations_per_second: match first.unknown_duration() {
                Some(_) => None,
                None => found_unit.map_or(Some(1.0), FoundUnit::per_second),
            },
            ids_were_numbers,
            names_have_numbers,
            unknown_duration: first.unknown_duration().map(str::to_owned),
            evidence: first.evidence(&header),
            found_unit,
            header,
            lines_before,
            separator,
            utc_times: hints.utc_times,
            systems: systems.clone(),
        })
    }

    /// Returns the systems among which the file's is.
    pub fn systems(&self) -> &Systems {
        &self.systems
    }

    /// Returns what separates the cells.
    pub fn separator(&self) -> u8 {
        self.separator
    }

    /// Returns what the file shows of the system whose trips these are.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Returns the system whose trips these are, as far as the file alone shows. `None` where it does
    /// not.
    pub fn system(&self) -> Option<System> {
        let attribution = attribution::attribute(&self.evidence, &[], &self.systems);
        attribution.ok().map(|attribution| attribution.system)
    }

    /// Returns the name of the file's form in `docs/FORMATS.md`, such as `M`.
    pub fn form(&self) -> &'static str {
        self.header.form.name
    }

    /// Describes what is unusual in how the columns are read, one sentence each, for the user.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(found) = self.found_unit.filter(|found| found.is_unusual()) {
            warnings.push(self.unit_sentence(found));
        }
        if let Some(unknown) = &self.unknown_duration {
            warnings.push(format!(
                "durations ({}) are not understood, such as {unknown:?}: none counts as stated",
                self.header.name(Column::Duration)
            ));
        }
        if self.is_order_unusual() {
            warnings.push(self.order.sentence(self.header.name(Column::StartedAt)));
        }
        warnings.extend(self.missing_ids());
        if self.lines_before > 0 {
            warnings.push(format!(
                "its header is preceded by {} other line{}",
                self.lines_before,
                if self.lines_before == 1 { "" } else { "s" }
            ));
        }
        let missing = unread(&self.header).into_iter();
        let missing = missing.filter(|unread| self.header.index(unread.like).is_none());
        warnings.extend(missing.map(|unread| {
            format!(
                "column {:?} looks like {} and is not read; no other column is",
                unread.name,
                unread.like.field()
            )
        }));
        warnings
    }

    /// Describes how the columns are read where that is as usual, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(found) = self.found_unit.filter(|found| !found.is_unusual()) {
            notes.push(self.unit_sentence(found));
        }
        let others = unread(&self.header).into_iter();
        let others = others.filter(|unread| self.header.index(unread.like).is_some());
        notes.extend(others.map(|unread| {
            format!(
                "column {:?} is not read: {} is taken from {:?}",
                unread.name,
                unread.like.field(),
                self.header.name(unread.like)
            )
        }));
        notes
    }

    /// Returns whether some rows contradict the order of day and month, or it is not that of the form.
    fn is_order_unusual(&self) -> bool {
        let is_day_first = self.order.order == DateOrder::DayFirst;
        self.order.others > 0 || self.order.rows > 0 && is_day_first != self.header.form.day_first
    }

    /// Takes what the rows before a header have shown, where those after it show nothing and have the
    /// same form.
    pub(super) fn complete_from(&mut self, before: &Self) {
        if !self.header.has_form_of(&before.header) {
            return;
        }
        if !self.order.is_decided && before.order.is_decided {
            self.order = FoundOrder::without_rows(before.order.order, true);
        }
        let shows_no_unit = |found: FoundUnit| found.compared == 0;
        if self.found_unit.is_none_or(shows_no_unit)
            && self.header.has_same_name(&before.header, Column::Duration)
        {
            self.durations_per_second = before.durations_per_second;
            self.found_unit = before.found_unit;
        }
    }

    /// Says that the file has no station ids. `None` where it has.
    fn missing_ids(&self) -> Option<String> {
        if self.header.form.station_ids == StationIds::Names {
            return (!self.names_have_numbers)
                .then(|| "its stations have no ids: their names stand for them".into());
        }
        let lacks = |column| self.header.index(column).is_none();
        let missing: Vec<&str> = [
            (Column::OriginId, "start (such as start_station_id)"),
            (Column::DestinationId, "end (such as end_station_id)"),
        ]
        .into_iter()
        .filter_map(|(column, end)| lacks(column).then_some(end))
        .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "it has no column for the station id of the {}: no trip has a station there",
                missing.join(", none for that of the ")
            )
        })
    }

    fn unit_sentence(&self, found: FoundUnit) -> String {
        let column = self.header.name(Column::Duration);
        let FoundUnit {
            unit,
            agreeing,
            compared,
        } = found;
        if found.per_second().is_none() {
            format!(
                "durations ({column}) are not used: in no unit does any of {compared} rows agree with \
                 its start and end"
            )
        } else if agreeing == 0 {
            let reason = match compared {
                0 => "no row decides",
                _ => "no row agrees with its start and end in any unit",
            };
            format!("durations ({column}) are taken for {unit}: {reason}")
        } else {
            format!(
                "durations ({column}) are in {unit}: so {agreeing} of {compared} rows agree with \
                 their start and end"
            )
        }
    }
}

impl FoundUnit {
    /// Returns whether this is no column of seconds of which most agree with the clocks.
    fn is_unusual(self) -> bool {
        self.unit != DurationUnit::Seconds || 2 * self.agreeing < self.compared
    }
}

/// Returns whether the current row is a header.
fn is_header<R: Read>(rows: &Rows<R>, header: &Header, systems: &Systems) -> bool {
    let start = header
        .index(Column::StartedAt)
        .map(|index| rows.cell(index));
    start.is_some_and(|start| !is_time(&start)) && Header::recognise(names(rows), systems).is_some()
}

/// Returns what a header states about its publisher.
fn header_evidence(header: &Header) -> HeaderEvidence {
    let of_form = |form: &'static Form| {
        let publishers = form.publishers.iter();
        publishers.map(|publisher| PublisherEvidence {
            system: publisher.system.into(),
            id_shapes: publisher.ids.iter().map(|s| IdShape::new(s)).collect(),
            foreign_column: foreign_column(header, publisher),
        })
    };
    let of_user = header.named_by_user.iter().map(|id| PublisherEvidence {
        system: id.clone(),
        id_shapes: Vec::new(),
        foreign_column: None,
    });
    HeaderEvidence {
        form: header.form.name,
        publishers: of_form(header.form).chain(of_user).collect(),
        is_own: header.form.is_own || header.named_by_user.is_some(),
    }
}

/// Finds a column that a publisher never had. Nameless columns are those of programs.
fn foreign_column(header: &Header, publisher: &Publisher) -> Option<String> {
    if publisher.columns.is_empty() {
        return None;
    }
    let is_foreign = |name: &&String| {
        !name.is_empty()
            && !name.starts_with("unnamed")
            && !publisher.columns.contains(&name.as_str())
    };
    let index = header.normal.iter().position(|name| is_foreign(&name))?;
    Some(header.names[index].clone())
}
