//! PNG: shapes as pixels, two for each unit.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};

use super::{Anchor, Colour, Drawing, Mark, PAPER, letters};

const SCALE: f32 = 2.0;

/// Why there are no pixels.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the picture as PNG")]
pub(super) struct NoPixels;

/// Draws a picture as PNG.
pub(super) fn png(drawing: &Drawing) -> Result<Vec<u8>, NoPixels> {
    let size = |length: f64| (length as f32 * SCALE).ceil() as u32;
    let mut pixels = Pixmap::new(size(drawing.width), size(drawing.height)).ok_or(NoPixels)?;
    pixels.fill(colour(PAPER, 1.0));
    for mark in &drawing.marks {
        draw(&mut pixels, mark);
    }
    pixels.encode_png().map_err(|_| NoPixels)
}

fn colour(Colour(red, green, blue): Colour, opacity: f64) -> Color {
    Color::from_rgba8(red, green, blue, (opacity * 255.0).round() as u8)
}

fn paint(fill: Colour, opacity: f64) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour(fill, opacity));
    paint.anti_alias = true;
    paint
}

fn fill(pixels: &mut Pixmap, path: Option<Path>, fill: Colour, opacity: f64, at: Transform) {
    if let Some(path) = path {
        let paint = paint(fill, opacity);
        pixels.fill_path(&path, &paint, FillRule::Winding, at, None);
    }
}

fn draw(pixels: &mut Pixmap, mark: &Mark) {
    let whole = Transform::from_scale(SCALE, SCALE);
    match mark {
        Mark::Rect {
            at,
            size,
            fill: colour,
            ..
        } => {
            let rect = Rect::from_xywh(at.0 as f32, at.1 as f32, size.0 as f32, size.1 as f32);
            let path = rect.map(PathBuilder::from_rect);
            fill(pixels, path, *colour, 1.0, whole);
        }
        Mark::Line {
            points,
            stroke,
            width,
            opacity,
            ..
        } => {
            let mut path = PathBuilder::new();
            for (place, (x, y)) in points.iter().enumerate() {
                match place {
                    0 => path.move_to(*x as f32, *y as f32),
                    _ => path.line_to(*x as f32, *y as f32),
                }
            }
            let pen = Stroke {
                width: *width as f32,
                line_cap: LineCap::Butt,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            if let Some(path) = path.finish() {
                pixels.stroke_path(&path, &paint(*stroke, *opacity), &pen, whole, None);
            }
        }
        Mark::Circle {
            at,
            radius,
            fill: colour,
            opacity,
            ..
        } => {
            let path = PathBuilder::from_circle(at.0 as f32, at.1 as f32, *radius as f32);
            fill(pixels, path, *colour, *opacity, whole);
        }
        Mark::Text {
            at,
            size,
            fill: colour,
            anchor,
            upwards,
            text,
        } => {
            let width = letters::width(text, *size);
            let back = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
            let mut path = PathBuilder::new();
            letters::outline(text, *size, &mut path);
            let turn = if *upwards { -90.0 } else { 0.0 };
            let place = Transform::from_translate(-back as f32, 0.0)
                .post_rotate(turn)
                .post_translate(at.0 as f32, at.1 as f32)
                .post_scale(SCALE, SCALE);
            fill(pixels, path.finish(), *colour, 1.0, place);
        }
    }
}
