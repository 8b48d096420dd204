//! HTML: one page of one or several reports, without links to other files.

mod headlines;
mod rows;
mod sections;

use std::fmt::Write as _;
use std::io::{self, Write};

use divvy::reports::{Column, Table, plural};

use self::rows::Limits;
use super::colours;

pub use headlines::{Headline, headlines};

/// A page.
pub struct Page<'a> {
    /// The heading.
    pub title: &'a str,
    /// Which trips are counted. Empty for all.
    pub filters: String,
    /// What stands at the top. `None` on a page of one report.
    pub front: Option<Front>,
    /// The reports.
    pub sections: Vec<Section<'a>>,
    /// What the page was made from. `None` for a picture alone.
    pub source: Option<Source>,
    /// The command that prints all rows of a report.
    pub rows_command: RowsCommand,
}

/// The command that prints all rows of a report.
#[derive(Clone, Debug, Default)]
pub struct RowsCommand {
    /// The flags of the store and the system, each with a blank before it.
    pub store_flags: String,
    /// The flags of the filters, likewise.
    pub filter_flags: String,
}

impl RowsCommand {
    /// Returns the command of a report.
    fn of(&self, report: &str) -> String {
        let Self {
            store_flags,
            filter_flags,
        } = self;
        format!("divvy{store_flags} report {report}{filter_flags} --format csv")
    }
}

/// What stands at the top of a page of several reports.
pub struct Front {
    /// The figures.
    pub headlines: Vec<Headline>,
    /// The map of stations, as `plot::figures` draws it. Empty without one.
    pub map: String,
}

/// A report on a page.
pub struct Section<'a> {
    /// The report's name. Empty for a picture alone.
    pub name: &'a str,
    /// What the report is about, in one line.
    pub about: &'a str,
    /// The report's rows and notes.
    pub table: &'a Table,
    /// The picture as `plot::figures` draws it, or a paragraph in its place. Empty for none.
    pub picture: String,
    /// The columns whose definitions are written below the table.
    pub columns: Vec<Column>,
}

/// What a page was made from.
#[derive(Clone, Debug)]
pub struct Source {
    /// When it was made.
    pub made_at: String,
    /// By which version of the program.
    pub version: &'static str,
    /// The store.
    pub store: String,
    /// The archives in the store.
    pub archives: Vec<SourceArchive>,
}

/// An archive from which trips come.
#[derive(Clone, Debug)]
pub struct SourceArchive {
    /// The file name.
    pub name: String,
    /// The trips that are stored under it.
    pub trips: i64,
    /// The date on which it was loaded.
    pub loaded_on: String,
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing is loaded from anywhere: the page needs no network.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

impl Page<'_> {
    /// Writes the page.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut page = String::new();
        let title = escape(self.title);
        let colours = colours::style_sheet();
        let _ = write!(
            page,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{colours}{STYLE}</style>\n</head>\n<body>\n"
        );
        if self.sections.iter().any(|section| !section.name.is_empty()) {
            let _ = writeln!(page, "<header><h1>{title}</h1>");
            if !self.filters.is_empty() {
                let filters = escape(&self.filters);
                let _ = writeln!(page, "<p class=\"about\">Trips counted: {filters}</p>");
            }
            page += "</header>\n";
        }
        page += "<main>\n";
        if let Some(front) = &self.front {
            front.write(&mut page);
        }
        if self.sections.len() > 1 {
            self.write_parts(&mut page);
        } else {
            for section in &self.sections {
                section.write(&mut page, section.name, &self.rows_command, Limits::ALONE);
            }
        }
        page += "</main>\n";
        if let Some(source) = &self.source {
            source.write(&mut page);
        }
        if page.contains("<table>") {
            let _ = write!(page, "<script>\n{SCRIPT}</script>\n");
        }
        page += "</body>\n</html>\n";
        out.write_all(page.as_bytes())
    }

    /// Writes the table of contents, and the reports by parts.
    fn write_parts(&self, page: &mut String) {
        let mut ordered: Vec<&Section<'_>> = self.sections.iter().collect();
        ordered.sort_by_key(|section| sections::position(section.name));
        let parts = ordered.chunk_by(|a, b| part_of(a) == part_of(b));
        *page += "<nav aria-label=\"Contents\">\n";
        for part in parts.clone() {
            let heading = sections::part_heading(part_of(part[0]));
            let _ = writeln!(page, "<div><h2>{heading}</h2>\n<ul>");
            for section in part {
                let (name, heading) = (escape(section.name), escape(section.heading()));
                let _ = writeln!(page, "<li><a href=\"#{name}\">{heading}</a></li>");
            }
            *page += "</ul></div>\n";
        }
        *page += "</nav>\n";
        let mut shares = self.shares(&ordered).into_iter();
        for part in parts {
            let heading = sections::part_heading(part_of(part[0]));
            let _ = writeln!(page, "<h2 class=\"part\">{heading}</h2>");
            for section in part {
                let bytes = shares.next().unwrap_or(0);
                section.write(
                    page,
                    section.heading(),
                    &self.rows_command,
                    Limits::of_many(bytes),
                );
            }
        }
    }
}

impl Page<'_> {
    /// Returns how many bytes the folded rows of each section may have, so that the page stays below
    /// 2 MB.
    fn shares(&self, ordered: &[&Section<'_>]) -> Vec<usize> {
        const MOST: usize = 1_950_000;
        /// The first rows of a report and the definitions of its columns, at most.
        const SECTION: usize = 14_000;
        let pictures = ordered.iter().map(|section| section.picture.len());
        let map = self.front.as_ref().map_or(0, |front| front.map.len());
        let used = pictures.sum::<usize>() + map + (ordered.len() + 2) * SECTION;
        let needs = ordered.iter().map(|it| rows::folded_bytes(it.table));
        rows::shares(&needs.collect::<Vec<_>>(), MOST.saturating_sub(used))
    }
}

fn part_of(section: &Section<'_>) -> usize {
    sections::position(section.name).part
}

impl Front {
    fn write(&self, page: &mut String) {
        *page += "<div class=\"front\">\n";
        if !self.headlines.is_empty() {
            *page += "<dl class=\"cards\">\n";
            for Headline {
                label,
                value,
                detail,
            } in &self.headlines
            {
                let (value, detail) = (escape(value), escape(detail));
                let _ = writeln!(
                    page,
                    "<div><dt>{label}</dt><dd><strong>{value}</strong> <span>{detail}</span></dd></div>"
                );
            }
            *page += "</dl>\n";
        }
        if !self.map.is_empty() {
            let _ = writeln!(page, "<div id=\"map\">\n{}</div>", self.map);
        }
        *page += "</div>\n";
    }
}

impl Section<'_> {
    fn heading(&self) -> &str {
        sections::heading(self.name)
    }

    fn write(&self, page: &mut String, heading: &str, rows_command: &RowsCommand, limits: Limits) {
        let (name, heading) = (escape(self.name), escape(heading));
        let about = escape(self.about);
        if name.is_empty() {
            *page += "<section>\n";
        } else {
            let _ = writeln!(
                page,
                "<section id=\"{name}\" aria-labelledby=\"{name}-heading\">\n\
                 <h3 id=\"{name}-heading\">{heading}</h3>\n<p class=\"about\">{about}</p>"
            );
        }
        *page += &self.picture;
        rows::write(page, &rows_command.of(self.name), self.table, limits);
        for note in &self.table.notes {
            let class = if note.is_warning() {
                "warning"
            } else {
                "scope"
            };
            let _ = writeln!(page, "<p class=\"{class}\">{}</p>", escape(&note.text()));
        }
        if !self.columns.is_empty() {
            *page += "<details><summary>What the columns mean</summary>\n<dl class=\"meanings\">";
            for column in &self.columns {
                let (column, definition) = (escape(column.name), escape(column.definition));
                let _ = writeln!(page, "<dt>{column}</dt><dd>{definition}</dd>");
            }
            *page += "</dl></details>\n";
        }
        *page += "</section>\n";
    }
}

impl Source {
    fn write(&self, page: &mut String) {
        let (made_at, store) = (escape(&self.made_at), escape(&self.store));
        let version = escape(self.version);
        let _ = writeln!(
            page,
            "<footer>\n<p>Made on {made_at} by divvy {version}, from the store \
             <code>{store}</code>.</p>"
        );
        if !self.archives.is_empty() {
            let archives = plural(self.archives.len() as i64, "archive");
            // What is folded is missing on paper.
            let open = if self.archives.len() <= 24 {
                " open"
            } else {
                ""
            };
            let _ = writeln!(page, "<details{open}><summary>{archives}</summary>\n<ul>");
            for archive in &self.archives {
                let name = escape(&archive.name);
                let trips = plural(archive.trips, "trip");
                let loaded_on = escape(&archive.loaded_on);
                let _ = writeln!(page, "<li>{name}: {trips}, loaded on {loaded_on}</li>");
            }
            *page += "</ul></details>\n";
        }
        *page += "</footer>\n";
    }
}

/// Writes a sentence that stands in place of a picture.
pub fn no_picture(why: &str) -> String {
    format!("<p class=\"scope\">{}</p>\n", escape(why))
}

/// Escapes a text for HTML and SVG. Control characters become blanks.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            letter if letter.is_control() && letter != '\n' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use divvy::reports::{REPORTS, Value, ValueKind};

    /// A system of 2,500 stations with long names, and as many rows as its routes and hours of the
    /// week have.
    fn big_table(report: &dyn divvy::reports::Report) -> Table {
        let columns = report.columns();
        let rows = match report.name() {
            "routes" | "balance" => 60_000,
            "stations" | "places" | "from-counts" => 2_500,
            _ => 400,
        };
        let value = |at: usize, column: &Column| match column.kind {
            ValueKind::Text | ValueKind::Name => {
                Value::from(format!("Martin Luther King Jr Dr & {at}th St").as_str())
            }
            ValueKind::Truth => Value::Truth(true),
            ValueKind::Date => Value::from("2024-06-30"),
            ValueKind::Instant => Value::from("2024-06-30T12:00:00-05:00"),
            _ => Value::from((at * 37) as i64),
        };
        let row = |at: usize| columns.iter().map(|column| value(at, column)).collect();
        let rows = (0..rows).map(row).collect();
        let mut table = Table::of(columns, rows, Vec::new());
        table.may_be_cut = true;
        table
    }

    #[test]
    fn a_page_of_every_report_of_a_big_system_is_below_2_mb_and_says_what_it_leaves_out() {
        let tables: Vec<Table> = REPORTS.iter().map(|report| big_table(*report)).collect();
        let sections = REPORTS.iter().zip(&tables).map(|(report, table)| Section {
            name: report.name(),
            about: report.about(),
            table,
            // As large as a map of 2,500 stations.
            picture: match report.name() {
                "balance" => " ".repeat(600_000),
                _ => String::new(),
            },
            columns: report.columns(),
        });
        let page = Page {
            title: "A <big> system",
            filters: String::new(),
            front: None,
            sections: sections.collect(),
            source: None,
            rows_command: RowsCommand::default(),
        };
        let mut out = Vec::new();
        page.write(&mut out).unwrap();
        assert!((1_700_000..2_000_000).contains(&out.len()), "{}", out.len());
        let text = String::from_utf8(out).unwrap();
        for name in ["routes", "balance"] {
            assert!(text.contains(&format!(
                "all: <code>divvy report {name} --format csv</code>"
            )));
        }
        assert!(text.contains("20 of 60,000 rows"));
        assert!(text.contains("<h1>A &lt;big&gt; system</h1>"));
        let place = |heading: &str| text.find(&format!("<h2 class=\"part\">{heading}</h2>"));
        assert!(place("When people ride") < place("Where people ride"));
        assert!(place("Where people ride") < place("The data"));
        assert!(!text.contains("http://") && !text.contains("https://"));
        for name in REPORTS.iter().map(|report| report.name()) {
            assert!(text.contains(&format!("<a href=\"#{name}\">")), "{name}");
            assert!(text.contains(&format!("<section id=\"{name}\"")), "{name}");
        }
    }
}
