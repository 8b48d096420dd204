//! Names beside stations of a map, where there is space.

use super::super::frame::{Frame, NAME, SMALL, width_of};
use super::super::svg::{Anchor, Point};
use super::super::text;

/// The corners of a rectangle: left, top, right, bottom.
type Area = (f64, f64, f64, f64);

/// The widest name.
const WIDEST: f64 = 200.0;

/// A station with a name to be written.
pub(super) struct Named<'a> {
    pub(super) at: Point,
    pub(super) radius: f64,
    pub(super) name: &'a str,
}

/// Writes the names of the first stations, each beside its circle where it covers no other name; one
/// for which there is no space is left out. The first ones are the most important.
pub(super) fn write(frame: &mut Frame, stations: &[Named<'_>]) {
    let mut taken: Vec<Area> = Vec::new();
    for station in stations {
        if let Some((at, anchor, area, name)) = free_place(frame, station, &taken) {
            frame.svg.text_above(at, NAME, anchor, &name);
            taken.push(area);
        }
    }
}

/// Returns the place of a name: its point, the side at which it is anchored, its area, and the name
/// as it is written.
fn free_place(
    frame: &Frame,
    station: &Named<'_>,
    taken: &[Area],
) -> Option<(Point, Anchor, Area, String)> {
    let name = text::cut_middle(station.name, SMALL, WIDEST.min(frame.width() * 0.45));
    let width = width_of(&name);
    let ((x, y), away) = (station.at, station.radius + 5.0);
    let places = [
        ((x + away, y + 4.5), Anchor::Start),
        ((x - away, y + 4.5), Anchor::End),
        ((x, y - away), Anchor::Middle),
        ((x, y + away + SMALL), Anchor::Middle),
        ((x + away, y - SMALL), Anchor::Start),
        ((x + away, y + SMALL * 1.8), Anchor::Start),
        ((x - away, y - SMALL), Anchor::End),
        ((x - away, y + SMALL * 1.8), Anchor::End),
    ];
    let placed = places.into_iter().map(|(at, anchor)| {
        let left = match anchor {
            Anchor::Start => at.0,
            Anchor::Middle => at.0 - width / 2.0,
            Anchor::End => at.0 - width,
        };
        (at, anchor, (left, at.1 - SMALL, left + width, at.1 + 4.0))
    });
    let is_inside = |area: &Area| {
        area.0 >= frame.left
            && area.1 >= frame.top
            && area.2 <= frame.right
            && area.3 <= frame.bottom
    };
    let is_free = |area: &Area| taken.iter().all(|other| !overlap(area, other));
    let mut placed = placed.filter(|(_, _, area)| is_inside(area) && is_free(area));
    placed
        .next()
        .map(|(at, anchor, area)| (at, anchor, area, name))
}

fn overlap(a: &Area, b: &Area) -> bool {
    a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3
}

#[cfg(test)]
mod tests {
    use super::super::super::frame::{Heading, Layout, Sheet};
    use super::*;
    use crate::render::colours::Theme;

    #[test]
    fn names_do_not_cover_each_other() {
        let heading = Heading::new("Stations".into(), String::new(), &[]);
        let sheet = Sheet {
            layout: Layout::Wide,
            theme: Theme::File,
        };
        let frame = Frame::new(sheet, &heading, (640.0, 640.0));
        let mut taken: Vec<Area> = Vec::new();
        let mut left_out = 0;
        for _ in 0..20 {
            let station = Named {
                at: (300.0, 300.0),
                radius: 8.0,
                name: "Streeter Dr & Grand Ave",
            };
            match free_place(&frame, &station, &taken) {
                Some((_, _, area, _)) => {
                    assert!(taken.iter().all(|other| !overlap(&area, other)));
                    taken.push(area);
                }
                None => left_out += 1,
            }
        }
        assert!(taken.len() >= 4 && left_out > 0, "{taken:?}");
    }
}
