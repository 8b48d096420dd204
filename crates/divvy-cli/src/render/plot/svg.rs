//! SVG, written element by element.

use std::fmt::{Arguments, Write};

use crate::render::colours::{Colour, PAPER, Theme};
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

/// How an area is filled.
#[derive(Clone, Copy)]
pub(super) enum Fill {
    /// With a colour.
    Solid(Colour),
    /// With a colour, so lightly that it stands apart from a solid one, and with its outline.
    Light(Colour),
    /// With nothing: the outline alone.
    Outline(Colour),
    /// With nothing: an interrupted outline.
    DashedOutline(Colour),
}

/// Size and colour of a text.
#[derive(Clone, Copy)]
pub(super) struct Font {
    pub(super) size: f64,
    pub(super) colour: Colour,
}

/// An SVG document. A tooltip is shown under the pointer; an empty one is not.
pub(super) struct Svg {
    theme: Theme,
    text: String,
    /// Nested pictures that are not finished.
    open: usize,
}

impl Svg {
    /// Begins a picture of a size in units of which a label is 13 high.
    pub(super) fn new(theme: Theme, title: &str, (width, height): (f64, f64)) -> Self {
        let (title, paper) = (escape(title), PAPER.paint(theme));
        let (width, height) = (short(width), short(height));
        // On a page a title would be a tooltip of the whole picture.
        let (label, title) = match theme {
            Theme::File => (String::new(), format!("<title>{title}</title>\n")),
            Theme::Page => (
                format!(" aria-label=\"{title}\" style=\"max-width: {width}px\""),
                String::new(),
            ),
        };
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\"{label} font-family=\"Ubuntu, 'Helvetica Neue', Arial, sans-serif\">\n\
             {title}<rect width=\"{width}\" height=\"{height}\" fill=\"{paper}\"/>\n",
        );
        Self {
            theme,
            text,
            open: 0,
        }
    }

    /// Returns the document.
    pub(super) fn finish(self) -> String {
        self.text + &"</svg>\n".repeat(self.open + 1)
    }

    /// Begins a part outside of whose area nothing is drawn. Its coordinates are those of the whole.
    pub(super) fn open_window(&mut self, at: Point, size: (f64, f64)) {
        let (x, y) = (short(at.0), short(at.1));
        let (width, height) = (short(size.0), short(size.1));
        self.open += 1;
        self.write(format_args!(
            "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"{x} {y} {width} {height}\">\n"
        ));
    }

    /// Ends the part that was begun last.
    pub(super) fn close_window(&mut self) {
        self.open -= 1;
        self.text += "</svg>\n";
    }

    pub(super) fn rect(&mut self, at: Point, size: (f64, f64), fill: Fill, tooltip: &str) {
        let (x, y) = (short(at.0), short(at.1));
        let (width, height) = (short(size.0), short(size.1));
        let fill = self.fill(fill, size.0);
        let attributes =
            format_args!("x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {fill}");
        self.element("rect", attributes, tooltip);
    }

    /// Writes the attributes of an area of a width. The outline of a narrow one is thin, so that it
    /// remains open.
    fn fill(&self, fill: Fill, width: f64) -> String {
        let paint = |colour: Colour| colour.paint(self.theme);
        let stroke = short((width * 0.3).clamp(0.3, 1.4));
        match fill {
            Fill::Solid(colour) => format!("fill=\"{}\"", paint(colour)),
            Fill::Light(colour) => {
                let paint = paint(colour);
                format!(
                    "fill=\"{paint}\" fill-opacity=\"0.3\" stroke=\"{paint}\" stroke-width=\"0.8\""
                )
            }
            Fill::Outline(colour) => {
                format!(
                    "fill=\"none\" stroke=\"{}\" stroke-width=\"{stroke}\"",
                    paint(colour)
                )
            }
            Fill::DashedOutline(colour) => format!(
                "fill=\"none\" stroke=\"{}\" stroke-width=\"{stroke}\" stroke-dasharray=\"3 2\"",
                paint(colour)
            ),
        }
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
        let fill = fill.paint(self.theme);
        let attributes = format_args!(
            "cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\" fill-opacity=\"{opacity}\""
        );
        self.element("circle", attributes, tooltip);
    }

    /// Draws a disc of the same size at each point, as one element.
    pub(super) fn dots(&mut self, points: &[Point], radius: f64, (fill, opacity): (Colour, f64)) {
        let dot = |(x, y): &Point| format!("M{},{}h.01", short(*x), short(*y));
        let path: String = points.iter().map(dot).collect();
        let (width, stroke) = (short(2.0 * radius), fill.paint(self.theme));
        let attributes = format_args!(
            "d=\"{path}\" stroke=\"{stroke}\" stroke-width=\"{width}\" stroke-linecap=\"round\" \
             stroke-opacity=\"{opacity}\""
        );
        self.element("path", attributes, "");
    }

    /// Draws a circle without a filling.
    pub(super) fn ring(&mut self, at: Point, radius: f64, stroke: Stroke, tooltip: &str) {
        let (x, y, radius) = (short(at.0), short(at.1), short(radius));
        let stroke = self.stroke(stroke);
        let attributes = format_args!("cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {stroke}");
        self.element("circle", attributes, tooltip);
    }

    pub(super) fn line(&mut self, points: &[Point], stroke: Stroke, tooltip: &str) {
        let (points, stroke) = (list(points), self.stroke(stroke));
        self.element(
            "polyline",
            format_args!("points=\"{points}\" {stroke}"),
            tooltip,
        );
    }

    /// Draws a filled area.
    pub(super) fn polygon(&mut self, points: &[Point], fill: (Colour, f64)) {
        let (points, paint) = (list(points), fill.0.paint(self.theme));
        let opacity = fill.1;
        let attributes =
            format_args!("points=\"{points}\" fill=\"{paint}\" fill-opacity=\"{opacity}\"");
        self.element("polygon", attributes, "");
    }

    /// Draws rings as one area: where one lies in another, there is a hole.
    pub(super) fn area(&mut self, rings: &[Vec<Point>], fill: Colour) {
        let ring = |points: &Vec<Point>| format!("M{}Z", list(points));
        let path: String = rings.iter().map(ring).collect();
        let fill = fill.paint(self.theme);
        let attributes = format_args!("d=\"{path}\" fill=\"{fill}\" fill-rule=\"evenodd\"");
        self.element("path", attributes, "");
    }

    fn stroke(&self, stroke: Stroke) -> String {
        let Stroke {
            colour,
            width,
            opacity,
        } = stroke;
        let (colour, width) = (colour.paint(self.theme), short(width));
        let mut text = format!(
            "fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\""
        );
        if opacity < 1.0 {
            text += &format!(" stroke-opacity=\"{opacity}\"");
        }
        text
    }

    /// Writes a text on one line. The point is on its base line.
    pub(super) fn text(&mut self, at: Point, font: Font, anchor: Anchor, text: &str) {
        self.write_text(at, font, anchor, "", (text, ""));
    }

    /// Writes a text that may be a short form; the tooltip has the whole. Empty for none.
    pub(super) fn short_text(
        &mut self,
        at: Point,
        font: Font,
        anchor: Anchor,
        (text, tooltip): (&str, &str),
    ) {
        self.write_text(at, font, anchor, "", (text, tooltip));
    }

    /// Writes a text over other things, with an edge in the colour of the paper.
    pub(super) fn text_above(&mut self, at: Point, font: Font, anchor: Anchor, text: &str) {
        let edge = format!(
            " stroke=\"{}\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"",
            PAPER.paint(self.theme)
        );
        self.write_text(at, font, anchor, &edge, (text, ""));
    }

    /// Writes a text that runs upwards, its middle at the point.
    pub(super) fn text_upwards(&mut self, at: Point, font: Font, text: &str) {
        let (x, y) = (short(at.0), short(at.1));
        let turn = format!(" transform=\"rotate(-90 {x} {y})\"");
        self.write_text(at, font, Anchor::Middle, &turn, (text, ""));
    }

    fn write_text(
        &mut self,
        at: Point,
        font: Font,
        anchor: Anchor,
        more: &str,
        (text, tooltip): (&str, &str),
    ) {
        let (x, y) = (short(at.0), short(at.1));
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (Font { size, colour }, text) = (font, escape(text));
        let colour = colour.paint(self.theme);
        let tooltip = if tooltip.is_empty() {
            String::new()
        } else {
            format!("<title>{}</title>", escape(tooltip))
        };
        self.write(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}{more}>\
             {tooltip}{text}</text>\n"
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

fn list(points: &[Point]) -> String {
    let points = points.iter();
    let points = points.map(|(x, y)| format!("{},{}", short(*x), short(*y)));
    points.collect::<Vec<_>>().join(" ")
}

/// Formats a length with at most one decimal, which is less than a pixel.
fn short(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}
