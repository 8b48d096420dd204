//! What the times of the first rows show: the order of day and month, and whether they can be read.

use std::borrow::Cow;
use std::io::Read;
use std::ops::RangeInclusive;

use super::TripsError;
use super::column_names::Column;
use super::rows::Rows;
use super::schema::Header;
use super::time::{self, DateOrder};
use super::values;
use super::zoned::{self, Suffix, TimeHints};
use crate::sources::text::decode;

/// Milliseconds from the start to the end of a row that votes: nearly all rides end within a day, and
/// clocks are turned back an hour once a year.
const RIDE_MS: RangeInclusive<i64> = -3_600_000..=25 * 3_600_000;

/// The same where the start can be read in one order alone: bikes are lost for days, and a date with a
/// wrong digit is mostly further off.
const LONG_RIDE_MS: RangeInclusive<i64> = -3_600_000..=8 * 24 * 3_600_000;

/// How many times more rows must vote for one order than for the other, and how many votes are looked
/// for beyond the first rows.
const LEAD: usize = 9;

/// The rows that fit one order alone.
#[derive(Debug, Default)]
struct Votes {
    rows: usize,
    /// The start of the first.
    first: String,
}

/// The order of day and month in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundOrder {
    pub(super) order: DateOrder,
    /// Rows that fit this order alone.
    pub(super) rows: usize,
    /// The user, or such rows, have stated it. Otherwise it is that of most files of the form.
    pub(super) is_decided: bool,
    /// Rows that fit the other one alone.
    pub(super) others: usize,
    /// The start of the first of these.
    other: String,
}

impl FoundOrder {
    /// Returns an order without rows that show it.
    pub(super) fn without_rows(order: DateOrder, is_decided: bool) -> Self {
        Self {
            order,
            is_decided,
            rows: 0,
            others: 0,
            other: String::new(),
        }
    }

    /// Describes how dates are read, in one sentence.
    pub(super) fn sentence(&self, column: &str) -> String {
        let order = match self.order {
            DateOrder::MonthFirst => "month first",
            DateOrder::DayFirst => "day first",
        };
        let rows = |n: usize| if n == 1 { "row" } else { "rows" };
        let Self {
            rows: most,
            others,
            other,
            ..
        } = self;
        let mut text = format!(
            "dates ({column}) are read {order}: {most} {} can be read in no other way",
            rows(*most)
        );
        if *others > 0 {
            text += &format!(
                "; {others} {} can be read only the other way, such as {other:?}",
                rows(*others)
            );
        }
        text
    }
}

/// What dates show about the order of day and month, and times about the rest.
#[derive(Default)]
pub(super) struct Dates {
    month_first: Votes,
    day_first: Votes,
    /// Some date means another day in each order.
    order_matters: bool,
    /// The first such date has dashes.
    has_dashes: bool,
    /// The first such date.
    ambiguous: String,
    /// Starts that are there, and those that can be read.
    starts: usize,
    times: usize,
    /// The first time that ends in `Z`, with its column.
    utc_time: Option<(Column, String)>,
    /// The first start that cannot be read.
    unreadable: String,
}

impl Dates {
    /// Returns whether further rows may show the order, and it matters.
    pub(super) fn is_open(&self) -> bool {
        self.order_matters && self.month_first.rows.max(self.day_first.rows) < LEAD
    }

    /// Returns the order: that of nearly all rows that fit one alone. Without such rows the day is
    /// first where the form has it so, otherwise the month.
    ///
    /// # Errors
    ///
    /// The rows contradict each other, or dates with dashes may have either order.
    pub(super) fn order(self, file: &str, header: &Header) -> Result<FoundOrder, TripsError> {
        let column = || header.name(Column::StartedAt).to_owned();
        let (month, day) = (self.month_first, self.day_first);
        if month.rows + day.rows == 0 {
            return if header.form.day_first {
                Ok(FoundOrder::without_rows(DateOrder::DayFirst, false))
            } else if self.has_dashes {
                Err(TripsError::AmbiguousDates {
                    file: file.into(),
                    column: column(),
                    found: self.ambiguous,
                })
            } else {
                Ok(FoundOrder::without_rows(DateOrder::MonthFirst, false))
            };
        }
        // A few odd rows do not refuse a file of a form that has the day first.
        let of_form = if header.form.day_first && day.rows > 0 {
            LEAD
        } else {
            0
        };
        let (order, most, least, weight) = if month.rows >= day.rows + of_form {
            (DateOrder::MonthFirst, month, day, 0)
        } else {
            (DateOrder::DayFirst, day, month, of_form)
        };
        if most.rows + weight < LEAD * least.rows {
            return Err(TripsError::MixedDates {
                file: file.into(),
                column: column(),
                first: most.first,
                second: least.first,
            });
        }
        Ok(FoundOrder {
            order,
            is_decided: true,
            rows: most.rows,
            others: least.rows,
            other: least.first,
        })
    }

    /// Refuses times that cannot be read or have two meanings.
    pub(super) fn refuse(
        &self,
        file: &str,
        header: &Header,
        hints: TimeHints,
    ) -> Result<(), TripsError> {
        let (file, column) = (file.to_owned(), header.name(Column::StartedAt).to_owned());
        let found = self.unreadable.clone();
        if self.times == 0 && zoned::is_clock_without_hour(found.as_bytes()) {
            return Err(TripsError::LostTimes {
                file,
                column,
                found,
            });
        }
        if self.times == 0 && self.starts > 0 {
            return Err(TripsError::UnreadableTimes {
                file,
                column,
                rows: self.starts,
                found,
            });
        }
        match &self.utc_time {
            Some((column, found)) if hints.utc_times.is_none() => Err(TripsError::UtcTimes {
                file,
                column: header.name(*column).into(),
                found: found.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Examines the dates of the current row.
    pub(super) fn examine<R: Read>(&mut self, rows: &Rows<R>, header: &Header) {
        let mut read = [[None; 2]; 2];
        let mut has_end = false;
        for (column, read) in [Column::StartedAt, Column::EndedAt]
            .into_iter()
            .zip(&mut read)
        {
            let Some(index) = header.index(column) else {
                continue;
            };
            let cell = rows.cell(index);
            let (text, suffix) = match zoned::split(&cell) {
                Some((text, suffix)) => (text, Some(suffix)),
                None => (&*cell, None),
            };
            if suffix == Some(Suffix::Utc) && self.utc_time.is_none() {
                self.utc_time = Some((column, decode(&cell).into_owned()));
            }
            *read = ORDERS.map(|order| ms_of(text, order));
            if !self.order_matters && read[0] != read[1] {
                self.order_matters = true;
                self.has_dashes = time::is_ambiguous_dash_date(text);
                self.ambiguous = decode(text).into_owned();
            }
            let is_there = !values::null_as_empty(Cow::Borrowed(text)).is_empty();
            has_end |= column == Column::EndedAt && is_there;
            if column == Column::StartedAt && is_there {
                self.starts += 1;
                self.times += usize::from(read.iter().any(Option::is_some));
                if *read == [None; 2] && self.unreadable.is_empty() {
                    self.unreadable = decode(text).into_owned();
                }
            }
        }
        let [starts, ends] = read;
        let range = if starts.contains(&None) {
            LONG_RIDE_MS
        } else {
            RIDE_MS
        };
        let fits = |order: usize| match (starts[order], ends[order]) {
            (Some(start), Some(end)) => range.contains(&(end - start)),
            (start, None) => start.is_some() && !has_end,
            (None, _) => false,
        };
        let votes = match [fits(0), fits(1)] {
            [true, false] => &mut self.month_first,
            [false, true] => &mut self.day_first,
            _ => return,
        };
        votes.rows += 1;
        if votes.first.is_empty() {
            let start = header
                .index(Column::StartedAt)
                .map(|index| rows.cell(index));
            votes.first = decode(&start.unwrap_or_default()).into_owned();
        }
    }
}

const ORDERS: [DateOrder; 2] = [DateOrder::MonthFirst, DateOrder::DayFirst];

/// Reads a time as milliseconds, for differences alone.
pub(super) fn ms_of(text: &[u8], order: DateOrder) -> Option<i64> {
    let text = zoned::split(text).map_or(text, |(text, _)| text);
    zoned::epoch_ms(text).or_else(|| time::parse(text, order).map(|time| time.ms))
}

/// Returns whether a text is a time in any order of day and month.
pub(super) fn is_time(text: &[u8]) -> bool {
    ORDERS.into_iter().any(|order| ms_of(text, order).is_some())
}
