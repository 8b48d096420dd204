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

use std::io::{self, Write};

use clap::ValueEnum;
use divvy::reports::Table;

pub use self::people::sentence;

/// The rows shown of a long report in formats for people, if no number of rows is requested.
pub const ROWS: usize = 20;

/// A format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: as wide as the terminal, 20 rows unless --top says more
    Table,
    /// Raw numbers, comma-separated, with a header
    Csv,
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
}

impl Format {
    /// Returns the format of an ending of file names. `None` for others.
    pub fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "md" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// Returns whether notes are written with the rows: in formats for people.
    pub fn has_notes(self) -> bool {
        matches!(self, Self::Table | Self::Markdown | Self::Html)
    }

    /// Writes a report. `width` is that of the terminal in columns; with `None` nothing is cut.
    pub fn write(self, table: &Table, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Table => table::write(table, width, out),
            Self::Csv => delimited::write(table, out),
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
                };
                page.write(out)
            }
            Self::Parquet => parquet::write(table, out),
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
        format.write(table, width, &mut out).unwrap();
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
        Format::Parquet.write(&sample(), None, &mut out).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(out)).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let rows: Vec<String> = rows.map(|row| row.unwrap().to_string()).collect();
        insta::assert_snapshot!(rows.join("\n"), @r#"
        {id: "uuid-1", name: "Canal St | "Adams", south of the long bridge", latitude: 41.879255, reported_at: "2021-03-02T02:00:00-06:00", available_docks: 12345, mean_s: 725.25, share: 0.4321}
        {id: "7", name: "Ærø", latitude: null, reported_at: null, available_docks: 0, mean_s: 7380.0, share: 1.0}
        "#);
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
    id      name                                          latitude  reported at       available         mean    share
                                                                                          docks
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    uuid-1  Canal St | "Adams", south of the long bridge  41.87926  2021-03-02 02:00     12,345  12 min 05 s   43.2 %
    7       Ærø                                                                               0   2 h 03 min  100.0 %

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
    not shown for want of width: reported_at, latitude

    7 trips from 1 archive
    warning: only 12 % of the trips start at a station of this
      feed
    "#);
        for width in 30..=200 {
            let text = written(&sample(), Format::Table, Some(width));
            let widest = text.lines().map(|line| line.chars().count()).max();
            let least = 49; // Of columns that are neither cut nor left out.
            assert!(
                widest <= Some(usize::from(width).max(least)),
                "{width}: {text}"
            );
        }
    }

    #[test]
    fn a_long_table_shows_twenty_rows_and_counts_the_rest() {
        let mut table = sample();
        table.rows = vec![table.rows[0].clone(); 1_811];
        table.may_be_cut = true;
        let text = written(&table, Format::Table, Some(80));
        assert!(
            text.contains("… and 1,791 more (use --top N or --format csv)"),
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
