//! A table for people: at most as wide as the terminal, with the first rows of long reports.

use std::io::{self, Write};

use anstyle::Style;
use divvy::reports::{Column, Role, Table, Value, ValueKind, grouped};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::people;
use crate::screen::{BOLD, DIM, Screen, WARNING};
use crate::wrap::wrapped;

/// The number of blanks between columns.
const GAP: usize = 2;

/// The widths to which names may be cut: before any column of importance is left out, and after.
const LEAST_NAMES: [usize; 2] = [16, 8];

/// A column with the text and width of its cells.
struct Shown<'a> {
    column: &'a Column,
    /// The words of the heading.
    heading: Vec<String>,
    /// Text and style of each cell.
    cells: Vec<(String, Style)>,
    /// In terminal columns, without the gap.
    width: usize,
    /// All values are unknown or 0.
    is_blank: bool,
    /// It is the key of the rows or their first number, which no table lacks.
    stays: bool,
}

/// Writes a table, and the notes below it.
pub fn write(table: &Table, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    let most = screen.rows.filter(|_| table.may_be_cut);
    let rows = &table.rows[..table.rows.len().min(most.unwrap_or(usize::MAX))];
    let is_shown = |at: &usize| table.columns[*at].kind != ValueKind::Distribution;
    let mut shown: Vec<Shown<'_>> = people::columns_in_use(table)
        .filter(is_shown)
        .map(|at| Shown::new(table, rows, at))
        .collect();
    let headings: Vec<String> = shown.iter().map(|it| it.column.heading()).collect();
    if let Some(width) = screen.width {
        fit(&mut shown, usize::from(width));
    }
    write_headings_on_one_line(&mut shown, screen.width.map(usize::from));
    let is_hidden = |heading: &String| shown.iter().all(|it| it.column.heading() != *heading);
    let hidden: Vec<String> = headings.into_iter().filter(is_hidden).collect();
    if !rows.is_empty() {
        write_rows(&shown, rows.len(), screen, out)?;
    }
    let more = table.more + table.rows.len() - rows.len();
    if more > 0 {
        let advice = if table.may_be_cut {
            " (--top N or --top all shows them)"
        } else {
            ""
        };
        let text = format!("… and {} more{advice}", grouped(more as i64));
        write_note(&text, DIM, screen, out)?;
    }
    if !hidden.is_empty() && !rows.is_empty() {
        let names = hidden.join(", ");
        let text = format!("Hidden columns: {names} (widen the terminal, or --format csv)");
        write_note(&text, DIM, screen, out)?;
    }
    if !rows.is_empty() && !table.notes.is_empty() {
        writeln!(out)?;
    }
    for note in &table.notes {
        let style = if note.is_warning() {
            WARNING
        } else {
            Style::new()
        };
        write_note(&people::sentence(note), style, screen, out)?;
    }
    Ok(())
}

fn write_note(text: &str, style: Style, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    for line in wrapped(text, screen.width, 2) {
        writeln!(out, "{}", screen.paint(style, line))?;
    }
    Ok(())
}

impl<'a> Shown<'a> {
    fn new(table: &'a Table, rows: &[Vec<Value>], at: usize) -> Self {
        let column = &table.columns[at];
        let cells = rows.iter().map(|row| {
            let text = people::cell(table, row, at);
            (text, people::style(column, &row[at]))
        });
        let cells: Vec<(String, Style)> = cells.collect();
        let heading: Vec<String> = column.heading().split(' ').map(str::to_owned).collect();
        let widths = cells.iter().map(|(text, _)| text.width());
        let widths = widths.chain(heading.iter().map(|word| word.width()));
        let is_blank = |value: &Value| matches!(value, Value::Empty | Value::Integer(0));
        Self {
            width: widths.max().unwrap_or(0),
            column,
            heading,
            cells,
            is_blank: rows.iter().all(|row| is_blank(&row[at])),
            stays: false,
        }
    }

    /// Returns the width to which it may be cut.
    fn least_width(&self, least_name: usize) -> usize {
        match self.column.kind {
            ValueKind::Name => self.width.min(least_name),
            _ => self.width,
        }
    }

    /// Breaks the heading between words into lines of the width.
    fn heading_lines(&self) -> Vec<String> {
        let width = u16::try_from(self.width).unwrap_or(u16::MAX);
        let lines = wrapped(&self.heading.join(" "), Some(width), 0).into_iter();
        lines.map(|line: String| cut(&line, self.width)).collect()
    }

    fn pad(&self, text: &str, painted: &str) -> String {
        let blanks = " ".repeat(self.width.saturating_sub(text.width()));
        if self.column.kind.is_numeric() {
            blanks + painted
        } else {
            painted.to_owned() + &blanks
        }
    }
}

/// Cuts a text to a width in terminal columns, with `…` in place of what is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += letter.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(letter);
    }
    format!("{}…", kept.trim_end())
}

/// Leaves out columns and cuts names until all fit a width. The key and one number stay, whatever the
/// width.
fn fit(shown: &mut Vec<Shown<'_>>, width: usize) {
    let first = |wanted: &dyn Fn(&Shown<'_>) -> bool| {
        let important = shown
            .iter()
            .position(|it| it.column.spare == 0 && wanted(it));
        important.or_else(|| shown.iter().position(wanted))
    };
    let is_group = |it: &Shown<'_>| matches!(it.column.role, Role::Group(_) | Role::StationId);
    let stay = [
        first(&is_group).or_else(|| first(&|_| true)),
        first(&|it| it.column.kind.is_numeric() && !matches!(it.column.kind, ValueKind::Ordinal)),
    ];
    for at in stay.into_iter().flatten() {
        shown[at].stays = true;
    }
    let [least_name, least_of_all] = LEAST_NAMES;
    while least_width(shown, least_name) > width {
        let spare = (shown.iter().enumerate())
            .filter(|(_, it)| it.column.spare > 0 && !it.stays)
            .max_by_key(|(index, it)| (it.is_blank, it.column.spare, *index));
        let Some((index, _)) = spare else { break };
        hide_with_pair(shown, index);
    }
    while least_width(shown, least_of_all) > width {
        let Some(index) = shown.iter().rposition(|it| !it.stays) else {
            break;
        };
        shown.remove(index);
    }
    let least_name = match least_width(shown, least_name) > width {
        true => least_of_all,
        false => least_name,
    };
    share_width(shown, width, least_name);
}

/// Widens columns to their headings where all of them fit, so that no heading is broken.
fn write_headings_on_one_line(shown: &mut [Shown<'_>], width: Option<usize>) {
    let wanted = |it: &Shown<'_>| it.width.max(it.heading.join(" ").width());
    let gaps = GAP * shown.len().saturating_sub(1);
    let all = shown.iter().map(wanted).sum::<usize>() + gaps;
    if width.is_none_or(|width| all <= width) {
        for it in shown {
            it.width = wanted(it);
        }
    }
}

fn least_width(shown: &[Shown<'_>], least_name: usize) -> usize {
    let gaps = GAP * shown.len().saturating_sub(1);
    let widths = shown.iter().map(|it| it.least_width(least_name));
    widths.sum::<usize>() + gaps
}

/// Leaves out a column. Pairs of ids, of dates, and of latitude and longitude are left out together.
fn hide_with_pair(shown: &mut Vec<Shown<'_>>, index: usize) {
    let first = shown.remove(index);
    let is_of_pair = |it: &Shown<'_>| {
        let key = |it: &Shown<'_>| (it.is_blank, it.column.kind, it.column.spare);
        key(it) == key(&first)
            && !it.stays
            && matches!(
                it.column.kind,
                ValueKind::Text | ValueKind::Degrees | ValueKind::Date
            )
    };
    while let Some(index) = shown.iter().rposition(is_of_pair) {
        shown.remove(index);
    }
}

/// Divides a width among the columns: names share what the others leave, the shortest first. Where even
/// that is too wide, the key is cut.
fn share_width(shown: &mut [Shown<'_>], width: usize, least_name: usize) {
    let too_wide = least_width(shown, least_name).saturating_sub(width);
    let mut free = width.saturating_sub(least_width(shown, least_name));
    let mut names: Vec<usize> = (0..shown.len())
        .filter(|at| shown[*at].column.kind == ValueKind::Name)
        .collect();
    names.sort_by_key(|at| shown[*at].width);
    let all = names.len();
    for (done, at) in names.into_iter().enumerate() {
        let name = &mut shown[at];
        let least = name.least_width(least_name);
        let grown = name.width.min(least + free / (all - done));
        free -= grown - least;
        name.width = grown;
    }
    if let Some(key) = shown.iter_mut().find(|it| it.stays) {
        key.width = key.width.saturating_sub(too_wide).max(1);
    }
}

fn write_rows(
    shown: &[Shown<'_>],
    rows: usize,
    screen: Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let gap = " ".repeat(GAP);
    let headings: Vec<Vec<String>> = shown.iter().map(Shown::heading_lines).collect();
    let lines = headings.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..lines {
        let cells = shown.iter().zip(&headings).map(|(it, heading)| {
            let text = heading.get(line).map_or("", String::as_str);
            it.pad(text, text)
        });
        let text = cells.collect::<Vec<_>>().join(&gap);
        writeln!(out, "{}", screen.paint(BOLD, text.trim_end()))?;
    }
    let widths = shown.iter().map(|it| it.width).sum::<usize>();
    let rule = "─".repeat(widths + GAP * shown.len().saturating_sub(1));
    writeln!(out, "{}", screen.paint(DIM, rule))?;
    for row in 0..rows {
        let cells = shown.iter().map(|it| {
            let (text, style) = &it.cells[row];
            let text = cut(text, it.width);
            let painted = match *style == Style::new() {
                true => text.clone(),
                false => screen.paint(*style, &text),
            };
            it.pad(&text, &painted)
        });
        let line = cells.collect::<Vec<_>>().join(&gap);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use divvy::ingest::{self, LoadOptions, PollOptions};
    use divvy::model::System;
    use divvy::reports::{self, Filters, Note, REPORTS};
    use divvy::sample::{self, Era, Sample};
    use divvy::sources::archive::Archive;
    use divvy::store::embedded::EmbeddedStore;
    use jiff::Timestamp;
    use tempfile::TempDir;

    use super::*;

    /// Loads invented trips and polls an invented feed. Returns every report.
    async fn answers(folder: &TempDir) -> Vec<(&'static str, Table)> {
        let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for era in [Era::Y2018, Era::Y2024] {
            let path = folder.path().join(era.archive_name());
            let sample = Sample {
                era,
                trips: 3_000,
                seed: 1,
            };
            let file = std::fs::File::create(&path).unwrap();
            sample.write_zip(file, &mut |_| {}).unwrap();
            let archive = Archive::open(&path).unwrap();
            let options = LoadOptions::new(now);
            ingest::load(&archive, &store, &options, &(), &())
                .await
                .unwrap();
        }
        let feed = folder.path().join("feed");
        std::fs::create_dir(&feed).unwrap();
        for (name, bytes) in sample::feed(Era::Y2024, 1, now) {
            std::fs::write(feed.join(name), bytes).unwrap();
        }
        let options = PollOptions::new(now);
        ingest::poll(&[feed], &store, &options).await.unwrap();
        let mut answers = Vec::new();
        let (system, filters) = (System::sample(), Filters::default());
        for report in REPORTS {
            let table = reports::answer(*report, &store, &system, &filters).await;
            answers.push((report.name(), table.unwrap()));
        }
        answers
    }

    fn written(table: &Table, screen: Screen) -> String {
        let mut out = Vec::new();
        write(table, screen, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn terminal(width: u16) -> Screen {
        Screen {
            width: Some(width),
            rows: Some(20),
            is_coloured: false,
        }
    }

    #[tokio::test]
    async fn every_report_fits_every_terminal_and_keeps_key_and_number() {
        let folder = TempDir::new().unwrap();
        for (report, table) in answers(&folder).await {
            if table.rows.is_empty() {
                // The history is that of a station, which no filter names here.
                continue;
            }
            for width in 40..=200 {
                let text = written(&table, terminal(width));
                let too_wide = text.lines().find(|line| line.width() > usize::from(width));
                assert_eq!(too_wide, None, "{report} at {width}");
                let headings = text.split_once('─').map_or("", |(headings, _)| headings);
                let is_number = |column: &&Column| {
                    let first = column.heading();
                    let first = first.split(' ').next().unwrap().to_owned();
                    column.kind.is_numeric() && headings.contains(&first)
                };
                assert!(
                    table.columns.iter().any(|it| is_number(&it)),
                    "{report} at {width}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_pipe_gets_all_rows_and_all_columns_with_values() {
        let folder = TempDir::new().unwrap();
        for (report, table) in answers(&folder).await {
            let text = written(&table, Screen::default());
            let rows = text
                .lines()
                .skip_while(|line| !line.starts_with('─'))
                .skip(1);
            let rows = rows.take_while(|line| !line.is_empty()).count();
            assert_eq!(rows, table.rows.len(), "{report}");
            assert!(!text.contains("Hidden columns"), "{report}: {text}");
            assert!(!text.contains('…'), "{report}: {text}");
        }
    }

    #[test]
    fn a_word_of_status_has_its_colour_and_a_warning_too() {
        let columns = vec![
            Column::new("name", ValueKind::Name),
            Column::new("status", ValueKind::Text),
        ];
        let rows = ["in service", "closed", "not in feed"]
            .map(|status| vec!["A".into(), Value::from(status)]);
        let notes = vec![Note::Warning("few".into())];
        let table = Table::of(columns, rows.to_vec(), notes);
        let screen = Screen {
            is_coloured: true,
            ..Screen::default()
        };
        insta::assert_snapshot!(written(&table, screen).replace('\u{1b}', "^"), @r"
        ^[1mname  status^[0m
        ^[2m─────────────────^[0m
        A     ^[32min service^[0m
        A     ^[33mclosed^[0m
        A     ^[2mnot in feed^[0m

        ^[33mwarning: few^[0m
        ");
    }

    #[test]
    fn letters_of_two_columns_are_counted_as_two() {
        assert_eq!(cut("日本橋駅前", 7), "日本橋…");
        assert_eq!(cut("short", 5), "short");
    }
}
