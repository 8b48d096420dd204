//! SVG, written element by element.

use std::fmt::{Arguments, Write};

use super::colours::{Colour, WHITE};
use crate::render::html::escape;

/// x and y of a point. y grows downwards.
pub(super) type Point = (f64, f64);

/// The point of a text that stands at its coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(super) struct Stroke {
    pub(super) colour: Colour,
    pub(super) width: f64,
    /// From 0 to 1.
    pub(super) opacity: f64,
}

/// Size and colour of a text.
#[derive(Clone, Copy)]
pub(super) struct Font {
    pub(super) size: f64,
    pub(super) colour: Colour,
}

/// An SVG document. A tooltip is shown under the pointer; an empty one is not.
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// Begins a picture of a size in units of which a label is 13 high, on white.
    pub(super) fn new(title: &str, (width, height): (f64, f64)) -> Self {
        let title = escape(title);
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" font-family=\"Ubuntu, 'Helvetica Neue', Arial, sans-serif\">\n\
             <title>{title}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{WHITE}\"/>\n",
        );
        Self { text }
    }

    /// Returns the document.
    pub(super) fn finish(self) -> String {
        self.text + "</svg>\n"
    }

    pub(super) fn rect(&mut self, at: Point, size: (f64, f64), fill: Colour, tooltip: &str) {
        let (x, y) = (short(at.0), short(at.1));
        let (width, height) = (short(size.0), short(size.1));
        let attributes = format_args!(
            "x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\""
        );
        self.element("rect", attributes, tooltip);
    }

    /// Draws a disc of a colour and an opacity from 0 to 1.
    pub(super) fn circle(
        &mut self,
        at: Point,
        radius: f64,
        (fill, opacity): (Colour, f64),
        tooltip: &str,
    ) {
        let (x, y, radius) = (short(at.0), short(at.1), short(radius));
        let attributes = format_args!(
            "cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\" fill-opacity=\"{opacity}\""
        );
        self.element("circle", attributes, tooltip);
    }

    pub(super) fn line(&mut self, points: &[Point], stroke: Stroke, tooltip: &str) {
        let points: Vec<String> = (points.iter())
            .map(|(x, y)| format!("{},{}", short(*x), short(*y)))
            .collect();
        let Stroke {
            colour,
            width,
            opacity,
        } = stroke;
        let attributes = format_args!(
            "points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\" stroke-opacity=\"{opacity}\"",
            points.join(" "),
        );
        self.element("polyline", attributes, tooltip);
    }

    /// Writes a text on one line. The point is on its base line.
    pub(super) fn text(&mut self, at: Point, font: Font, anchor: Anchor, text: &str) {
        self.write_text(at, font, anchor, "", text);
    }

    /// Writes a text that runs upwards, its middle at the point.
    pub(super) fn text_upwards(&mut self, at: Point, font: Font, text: &str) {
        let (x, y) = (short(at.0), short(at.1));
        let turn = format!(" transform=\"rotate(-90 {x} {y})\"");
        self.write_text(at, font, Anchor::Middle, &turn, text);
    }

    fn write_text(&mut self, at: Point, font: Font, anchor: Anchor, turn: &str, text: &str) {
        let (x, y) = (short(at.0), short(at.1));
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (Font { size, colour }, text) = (font, escape(text));
        self.write(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}{turn}>\
             {text}</text>\n"
        ));
    }

    fn element(&mut self, name: &str, attributes: Arguments<'_>, tooltip: &str) {
        if tooltip.is_empty() {
            self.write(format_args!("<{name} {attributes}/>\n"));
        } else {
            let tooltip = escape(tooltip);
            self.write(format_args!(
                "<{name} {attributes}><title>{tooltip}</title></{name}>\n"
            ));
        }
    }

    fn write(&mut self, text: Arguments<'_>) {
        self.text
            .write_fmt(text)
            .expect("writing to a string does not fail");
    }
}

/// Formats a length with at most one decimal, which is less than a pixel.
fn short(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}
