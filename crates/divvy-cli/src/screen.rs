//! What texts for people are written to: a terminal, a pipe or a file.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use clap::builder::Styles;

/// The rows shown of a long table on a terminal, and in a page or a document of several reports, if
/// no number of rows is requested.
pub const ROWS: usize = 20;

/// Of headings.
pub const BOLD: Style = Style::new().bold();
/// Of what is less important.
pub const DIM: Style = Style::new().dimmed();
/// Of what is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Of warnings.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// Of errors.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Of the help.
pub const HELP: Styles = Styles::styled()
    .header(BOLD)
    .usage(BOLD)
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default())
    .error(ERROR)
    .valid(AnsiColor::Green.on_default())
    .invalid(WARNING);

/// Applies `--color` of the arguments to everything that is printed, before the arguments are parsed:
/// their mistakes are printed as well.
pub fn choose_colours(arguments: impl Iterator<Item = OsString>) {
    let arguments: Vec<String> = arguments
        .filter_map(|argument| argument.into_string().ok())
        .collect();
    let after = arguments.iter().skip(1).map(String::as_str);
    let pairs = arguments.iter().zip(after);
    let apart = pairs.filter(|(flag, _)| *flag == "--color");
    let values = apart.map(|(_, value)| value);
    let joined = arguments
        .iter()
        .filter_map(|it| it.strip_prefix("--color="));
    match values.chain(joined).last() {
        Some("always") => ColorChoice::Always.write_global(),
        Some("never") => ColorChoice::Never.write_global(),
        _ => {}
    }
}

/// Where a text is written. The default is a file: nothing is cut, left out or coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// The width in columns. `None` where nothing is cut.
    pub width: Option<u16>,
    /// The most rows shown of a long table. `None` for all.
    pub rows: Option<usize>,
    /// Whether it shows colours.
    pub is_coloured: bool,
}

impl Screen {
    /// Returns that of stdout. `COLUMNS` replaces the width of the terminal, and is also that of a
    /// pipe.
    pub fn stdout() -> Self {
        let columns = std::env::var("COLUMNS").ok();
        let columns = columns.and_then(|columns| columns.parse().ok());
        let is_terminal = io::stdout().is_terminal();
        let width = || terminal_size::terminal_size().map(|(width, _)| width.0);
        Self {
            width: columns.or_else(|| width().filter(|_| is_terminal)),
            rows: is_terminal.then_some(ROWS),
            is_coloured: is_coloured(&io::stdout()),
        }
    }

    /// Returns that of stderr.
    pub fn stderr() -> Self {
        let width = terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| width.0);
        Self {
            width,
            rows: None,
            is_coloured: is_coloured(&io::stderr()),
        }
    }

    /// Returns that of a file. It has colours if they are always requested.
    pub fn file() -> Self {
        Self {
            is_coloured: ColorChoice::global() == ColorChoice::Always,
            ..Self::default()
        }
    }

    /// Formats a text in a style, where colours are shown.
    pub fn paint(self, style: Style, text: impl Display) -> String {
        if self.is_coloured {
            format!("{style}{text}{style:#}")
        } else {
            text.to_string()
        }
    }
}

/// Returns whether a stream shows colours: by `--color`, `NO_COLOR` and whether it is a terminal.
fn is_coloured(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != ColorChoice::Never
}
