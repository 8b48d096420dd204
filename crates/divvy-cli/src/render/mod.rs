//! Formats of reports: each file here writes a [`Table`] in one of them.

mod colours;
mod delimited;
pub mod html;
pub mod json;
mod markdown;
mod parquet;
mod people;
pub mod plot;
mod table;
mod xlsx;

use std::io::{self, Write};

use clap::ValueEnum;
use divvy::reports::Table;

pub use self::people::sentence;
pub use crate::screen::ROWS;
use crate::screen::Screen;

/// A format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: as wide as the terminal, 20 rows unless --top asks for more
    Table,
    /// Raw numbers, comma-separated, with a header
    Csv,
    /// Raw numbers, separated by tabs, with a header
    Tsv,
    /// Raw numbers: one array of objects
    Json,
    /// Raw numbers: one object a line
    Ndjson,
    /// For people: a table to paste
    Markdown,
    /// For people: a page with its picture, which needs no network
    Html,
    /// Raw numbers, for other engines
    Parquet,
    /// A workbook of Excel: raw numbers, dates and texts
    Xlsx,
}

/// The formats of each ending of file names.
const ENDINGS: [(&str, Format); 11] = [
    ("txt", Format::Table),
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("json", Format::Json),
    ("ndjson", Format::Ndjson),
    ("jsonl", Format::Ndjson),
    ("md", Format::Markdown),
    ("html", Format::Html),
    ("htm", Format::Html),
    ("parquet", Format::Parquet),
    ("xlsx", Format::Xlsx),
];

impl Format {
    /// Returns the format of an ending of file names. `None` for others.
    pub fn of_ending(ending: &str) -> Option<Self> {
        let known = ENDINGS.iter();
        let mut known = known.filter(|(known, _)| ending.eq_ignore_ascii_case(known));
        known.next().map(|(_, format)| *format)
    }

    /// Returns whether a program that opens files by their ending would take a file of this format for
    /// another: JSON as lines is JSON to most, and a text may have any ending.
    pub fn is_other_than_ending(self, ending: &str) -> bool {
        let is_json = |format| matches!(format, Self::Json | Self::Ndjson);
        let others = Self::of_ending(ending).filter(|other| *other != self);
        others.is_some_and(|other| other != Self::Table && !(is_json(self) && is_json(other)))
    }

    /// Lists the endings of file names that have a format: `.csv, .json`.
    pub fn endings() -> String {
        let endings = ENDINGS.map(|(ending, _)| format!(".{ending}"));
        endings.join(", ")
    }

    /// Returns whether it is no text, and not to be shown on a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Xlsx)
    }

    /// Returns whether notes are written with the rows: in formats for people.
    pub fn has_notes(self) -> bool {
        matches!(self, Self::Table | Self::Markdown | Self::Html)
    }

    /// Writes a report. A table is cut to the screen; in other formats nothing is.
    pub fn write(self, table: &Table, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Table => table::write(table, screen, out),
            Self::Csv => delimited::write(table, b',', out),
            Self::Tsv => delimited::write(table, b'\t', out),
            Self::Json => json::write_array(table, out),
            Self::Ndjson => json::write_lines(table, out),
            Self::Markdown => markdown::write(table, out),
            Self::Html => {
                let section = html::Section {
                    name: "report",
                    about: "",
                    table,
                    picture: String::new(),
                    columns: Vec::new(),
                };
                let page = html::Page {
                    title: "Divvy Analyze",
                    filters: String::new(),
                    front: None,
                    sections: vec![section],
                    source: None,
                    rows_command: html::RowsCommand::default(),
                };
                page.write(out)
            }
            Self::Parquet => parquet::write(table, out),
            Self::Xlsx => xlsx::write(table, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use divvy::reports::{Column, Note, Row, Value, ValueKind};

    use super::*;

    /// A row with all types of values.
    struct Sample(&'static str, Vec<Value>);

    impl Row for Sample {
        fn columns() -> Vec<Column> {
            vec![
                Column::new("id", ValueKind::Text).spare(1),
                Column::new("name", ValueKind::Name),
                Column::new("latitude", ValueKind::Degrees).spare(3),
                Column::new("reported_at", ValueKind::Instant).spare(2),
                Column::new("available_docks", ValueKind::Count),
                Column::new("mean_s", ValueKind::Seconds),
                Column::new("share", ValueKind::Share),
            ]
        }

        fn values(self) -> Vec<Value> {
            std::iter::once(self.0.into()).chain(self.1).collect()
        }
    }

    fn sample() -> Table {
        let degrees = |text: &str| text.parse::<divvy::model::Degrees>().unwrap();
        let rows = [
            Sample(
                "uuid-1",
                vec![
                    "Canal St | \"Adams\", south of the long bridge".into(),
                    degrees("41.879255000000001").into(),
                    "2021-03-02T02:00:00-06:00".into(),
                    12_345_i64.into(),
                    725.25.into(),
                    0.4321.into(),
                ],
            ),
            Sample(
                "7",
                vec![
                    "Ærø".into(),
                    Value::Empty,
                    Value::Empty,
                    0_i64.into(),
                    7_380.0.into(),
                    1.0.into(),
                ],
            ),
        ];
        let notes = vec![
            Note::Scope("7 trips from 1 archive".into()),
            Note::Warning("only 12 % of the trips start at a station of this feed".into()),
        ];
        Table::new(rows, notes)
    }

    fn written(table: &Table, format: Format, width: Option<u16>) -> String {
        let mut out = Vec::new();
        let screen = Screen {
            width,
            rows: Some(ROWS),
            is_coloured: false,
        };
        format.write(table, screen, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn programs_read_raw_numbers() {
        insta::assert_snapshot!(written(&sample(), Format::Csv, None), @r#"
    id,name,latitude,reported_at,available_docks,mean_s,share
    uuid-1,"Canal St | ""Adams"", south of the long bridge",41.879255000000001,2021-03-02T02:00:00-06:00,12345,725.25,0.4321
    7,Ærø,,,0,7380,1
    "#);
        insta::assert_snapshot!(written(&sample(), Format::Json, None), @r#"
    [
    {"id":"uuid-1","name":"Canal St | \"Adams\", south of the long bridge","latitude":41.879255000000001,"reported_at":"2021-03-02T02:00:00-06:00","available_docks":12345,"mean_s":725.25,"share":0.4321},
    {"id":"7","name":"Ærø","latitude":null,"reported_at":null,"available_docks":0,"mean_s":7380.0,"share":1.0}
    ]
    "#);
        insta::assert_snapshot!(written(&sample(), Format::Ndjson, None), @r#"
    {"id":"uuid-1","name":"Canal St | \"Adams\", south of the long bridge","latitude":41.879255000000001,"reported_at":"2021-03-02T02:00:00-06:00","available_docks":12345,"mean_s":725.25,"share":0.4321}
    {"id":"7","name":"Ærø","latitude":null,"reported_at":null,"available_docks":0,"mean_s":7380.0,"share":1.0}
    "#);
    }

    #[test]
    fn parquet_holds_the_same_values() {
        use ::parquet::file::reader::{FileReader, SerializedFileReader};
        let mut out = Vec::new();
        let screen = Screen::default();
        Format::Parquet.write(&sample(), screen, &mut out).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(out)).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let rows: Vec<String> = rows.map(|row| row.unwrap().to_string()).collect();
        insta::assert_snapshot!(rows.join("\n"), @r#"
        {id: "uuid-1", name: "Canal St | "Adams", south of the long bridge", latitude: 41.879255, reported_at: "2021-03-02T02:00:00-06:00", available_docks: 12345, mean_s: 725.25, share: 0.4321}
        {id: "7", name: "Ærø", latitude: null, reported_at: null, available_docks: 0, mean_s: 7380.0, share: 1.0}
        "#);
    }

    #[test]
    fn tabs_and_line_breaks_in_values_are_quoted() {
        let mut table = sample();
        table.rows[1][1] = "two\twords\nand \"lines\"".into();
        let text = written(&table, Format::Tsv, None);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(b'\t')
            .from_reader(text.as_bytes());
        let names: Vec<String> = reader
            .records()
            .map(|record| record.unwrap()[1].to_owned())
            .collect();
        assert_eq!(names[1], "two\twords\nand \"lines\"");
        assert!(text.starts_with("id\tname\tlatitude\t"));
    }

    #[test]
    fn a_workbook_has_numbers_dates_and_ids_as_text() {
        use std::io::Read as _;
        let mut table = sample();
        table.rows[1][0] = "007".into();
        let mut out = Vec::new();
        let screen = Screen::default();
        Format::Xlsx.write(&table, screen, &mut out).unwrap();
        let mut parts = zip::ZipArchive::new(io::Cursor::new(out)).unwrap();
        let mut part = |name: &str| {
            let mut text = String::new();
            parts
                .by_name(name)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            text
        };
        let sheet = part("xl/worksheets/sheet1.xml");
        // 2021-03-02 02:00 by the clocks of the system is 44257.08 days after 1899-12-30.
        assert!(sheet.contains("<v>44257.08333"), "{sheet}");
        assert!(sheet.contains("<v>12345</v>"), "{sheet}");
        assert!(sheet.contains("state=\"frozen\""), "{sheet}");
        assert!(part("xl/sharedStrings.xml").contains("<t>007</t>"));
        assert!(part("xl/worksheets/sheet2.xml").contains("t=\"s\""));
    }

    #[test]
    fn each_ending_of_a_file_has_its_format() {
        assert_eq!(Format::of_ending("XLSX"), Some(Format::Xlsx));
        assert_eq!(Format::of_ending("xls"), None);
        assert!(Format::endings().starts_with(".txt, .csv, .tsv"));
    }

    #[test]
    fn a_blank_group_reads_not_stated_for_people_alone() {
        use divvy::reports::{Dim, Role};
        let columns = vec![
            Column::new("birth_year", ValueKind::Ordinal).role(Role::Group(Dim::BirthYear)),
            Column::new("age", ValueKind::Ordinal).role(Role::Group(Dim::Age)),
            Column::new("trips", ValueKind::Count),
            Column::new("status", ValueKind::Text),
        ];
        let rows = vec![
            vec![1985_i64.into(), 33_i64.into(), 5_i64.into(), Value::Empty],
            vec![1890_i64.into(), Value::Empty, 4_i64.into(), Value::Empty],
            vec![Value::Empty, Value::Empty, 3_i64.into(), Value::Empty],
        ];
        let table = Table::of(columns, rows, Vec::new());
        insta::assert_snapshot!(written(&table, Format::Table, None), @r"
        birth year         age  trips
        ─────────────────────────────
              1985          33      5
              1890                  4
        not stated  not stated      3
        ");
        let markdown = written(&table, Format::Markdown, None);
        assert!(
            markdown.contains("| not stated | not stated | 3 |"),
            "{markdown}"
        );
        let csv = written(&table, Format::Csv, None);
        assert!(csv.ends_with(",,3,\n"), "{csv}");
    }

    #[test]
    fn an_estimate_is_marked_for_people_alone() {
        let columns = vec![Column::new("median_s", ValueKind::Seconds).approximate()];
        let table = Table::of(columns, vec![vec![349_i64.into()]], Vec::new());
        assert!(written(&table, Format::Table, None).contains("≈ 5 min 49 s"));
        assert!(written(&table, Format::Csv, None).ends_with("\n349\n"));
    }

    #[test]
    fn a_page_escapes_what_it_shows() {
        let text = written(&sample(), Format::Html, None);
        assert!(text.contains("<td>Canal St | &quot;Adams&quot;, south of the long bridge</td>"));
        assert!(text.contains("<td class=\"n\">12 min 05 s</td>"));
        assert!(text.contains("<p class=\"warning\">only 12 %"));
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "it needs no network"
        );
    }

    #[test]
    fn no_name_is_a_link_or_markup() {
        let mut table = sample();
        for (name, markdown, html) in [
            (
                "[Lake St](https://evil.example)",
                "\\[Lake St\\](https\\://evil.example)",
                "[Lake St](https://evil.example)",
            ),
            (
                "![x](javascript:alert(1))",
                "!\\[x\\](javascript:alert(1))",
                "![x](javascript:alert(1))",
            ),
            (
                "<img src=x onerror='a'>",
                "\\<img src=x onerror='a'\\>",
                "&lt;img src=x onerror='a'&gt;",
            ),
            ("A | B", "A \\| B", "A | B"),
            ("www.evil.example", "www\\.evil.example", "www.evil.example"),
            ("a@evil.example", "a&#64;evil.example", "a@evil.example"),
            (
                "&lt;b&gt; ~~x~~",
                "&amp;lt;b&amp;gt; \\~\\~x\\~\\~",
                "&amp;lt;b&amp;gt; ~~x~~",
            ),
            (
                "classic_bike _x_",
                "classic_bike \\_x\\_",
                "classic_bike _x_",
            ),
        ] {
            table.rows[0][1] = name.into();
            table.notes = vec![Note::Scope(format!("of {name}"))];
            let text = written(&table, Format::Markdown, None);
            assert!(text.contains(&format!("| {markdown} |")), "{text}");
            assert!(text.contains(&format!("- of {markdown}\n")), "{text}");
            let text = written(&table, Format::Html, None);
            assert!(text.contains(&format!("<td>{html}</td>")), "{text}");
            assert!(text.contains(&format!(">of {html}</p>")), "{text}");
        }
    }

    #[test]
    fn json_is_json_with_or_without_rows() {
        for rows in 0..=2 {
            let mut table = sample();
            table.keep(rows);
            let text = written(&table, Format::Json, None);
            let array: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
            assert_eq!(array.len(), rows);
        }
    }

    #[test]
    fn people_read_units() {
        insta::assert_snapshot!(written(&sample(), Format::Table, None), @r#"
        id      name                                          latitude  reported at       available docks         mean    share
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
        uuid-1  Canal St | "Adams", south of the long bridge  41.87926  2021-03-02 02:00           12,345  12 min 05 s   43.2 %
        7       Ærø                                                                                     0   2 h 03 min  100.0 %

        7 trips from 1 archive
        warning: only 12 % of the trips start at a station of this feed
        "#);
        insta::assert_snapshot!(written(&sample(), Format::Markdown, None), @r#"
    | id | name | latitude | reported at | available docks | mean | share |
    | --- | --- | ---: | --- | ---: | ---: | ---: |
    | uuid-1 | Canal St \| "Adams", south of the long bridge | 41.87926 | 2021-03-02 02:00 | 12,345 | 12 min 05 s | 43.2 % |
    | 7 | Ærø |  |  | 0 | 2 h 03 min | 100.0 % |

    - 7 trips from 1 archive
    - **only 12 % of the trips start at a station of this feed**
    "#);
    }

    #[test]
    fn a_narrow_table_cuts_names_and_does_without_some_columns() {
        insta::assert_snapshot!(written(&sample(), Format::Table, Some(60)), @r#"
    id      name                 available         mean    share
                                     docks
    ────────────────────────────────────────────────────────────
    uuid-1  Canal St | "Adams"…     12,345  12 min 05 s   43.2 %
    7       Ærø                          0   2 h 03 min  100.0 %
    Hidden columns: latitude, reported at (widen the terminal,
      or --format csv)

    7 trips from 1 archive
    warning: only 12 % of the trips start at a station of this
      feed
    "#);
        for width in 24..=200 {
            let text = written(&sample(), Format::Table, Some(width));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(usize::from(width)), "{width}: {text}");
        }
    }

    #[test]
    fn a_long_table_shows_twenty_rows_and_counts_the_rest() {
        let mut table = sample();
        table.rows = vec![table.rows[0].clone(); 1_811];
        table.may_be_cut = true;
        let text = written(&table, Format::Table, Some(80));
        assert!(
            text.contains("… and 1,791 more (--top N or --top all shows them)"),
            "{text}"
        );
        assert_eq!(text.matches("Canal St").count(), 20);
        assert_eq!(written(&table, Format::Csv, None).lines().count(), 1_812);

        table.may_be_cut = false;
        table.keep(30);
        let text = written(&table, Format::Table, Some(80));
        assert_eq!(text.matches("Canal St").count(), 30);
        assert!(text.contains("… and 1,781 more"), "{text}");
    }
}
