//! SVG: shapes as text.

use std::fmt::Write;

use super::super::html::escape;
use super::{Anchor, Colour, Drawing, Mark, PAPER};

/// Writes a picture as SVG that needs nothing else.
pub fn svg(drawing: &Drawing) -> String {
    let (width, height) = (drawing.width, drawing.height);
    let title = escape(&drawing.title);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         font-family=\"Ubuntu, 'Helvetica Neue', Arial, sans-serif\">\n<title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\n",
        hex(PAPER)
    );
    for mark in &drawing.marks {
        // Writing to a text does not fail.
        let _ = write_mark(&mut out, mark);
    }
    out += "</svg>\n";
    out
}

fn hex(Colour(red, green, blue): Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Writes a length with one decimal, which is finer than any screen.
fn short(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn close(out: &mut String, name: &str, hint: &str) -> std::fmt::Result {
    match hint.is_empty() {
        true => writeln!(out, "/>"),
        false => writeln!(out, "><title>{}</title></{name}>", escape(hint)),
    }
}

fn write_mark(out: &mut String, mark: &Mark) -> std::fmt::Result {
    match mark {
        Mark::Rect {
            at,
            size,
            fill,
            hint,
        } => {
            let (x, y) = (short(at.0), short(at.1));
            let (width, height) = (short(size.0), short(size.1));
            let fill = hex(*fill);
            write!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\""
            )?;
            close(out, "rect", hint)
        }
        Mark::Line {
            points,
            stroke,
            width,
            opacity,
            hint,
        } => {
            let points: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{},{}", short(*x), short(*y)))
                .collect();
            write!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" \
                 stroke-linejoin=\"round\" stroke-opacity=\"{opacity}\"",
                points.join(" "),
                hex(*stroke)
            )?;
            close(out, "polyline", hint)
        }
        Mark::Circle {
            at,
            radius,
            fill,
            opacity,
            hint,
        } => {
            let (x, y, radius) = (short(at.0), short(at.1), short(*radius));
            let fill = hex(*fill);
            write!(
                out,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\" \
                 fill-opacity=\"{opacity}\""
            )?;
            close(out, "circle", hint)
        }
        Mark::Text {
            at,
            size,
            fill,
            anchor,
            upwards,
            text,
        } => {
            let (x, y) = (short(at.0), short(at.1));
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let turned = match upwards {
                true => format!(" transform=\"rotate(-90 {x} {y})\""),
                false => String::new(),
            };
            let (fill, text) = (hex(*fill), escape(text));
            writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{fill}\"{anchor}{turned}>\
                 {text}</text>"
            )
        }
    }
}
