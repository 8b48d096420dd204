//! Colours of pictures: one table of them, each for light and dark paper, and one table of the
//! values that have a colour of their own in every picture.
//!
//! A picture in a file has the light colours. On a page, colours are variables of the style sheet, so
//! that pictures follow the reader's preference.

/// A colour, as an index in [`PALETTE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(usize);

/// Where a picture is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// In a file of its own, on white.
    File,
    /// On a page with the variables of [`style_sheet`].
    Page,
}

/// The names of colours in a style sheet, each with its light and its dark form: red, green, blue.
const PALETTE: [(&str, u32, u32); 51] = [
    ("ink", 0x1b_1f_24, 0xe6_e9_ec),
    ("soft", 0x59_63_6e, 0xa3_ad_b8),
    ("line", 0xd9_de_e4, 0x33_3a_42),
    ("paper", 0xff_ff_ff, 0x15_19_1e),
    ("none", 0x87_8f_98, 0x7d_86_90),
    ("all", 0x4d_5f_7c, 0x93_a5_c4),
    ("member", 0x00_72_b2, 0x4a_a8_e8),
    ("casual", 0xd6_6a_00, 0xf0_a0_4b),
    ("dependent", 0x8a_2b_5a, 0xf7_c0_dd),
    ("classic", 0x00_80_63, 0x2f_bf_95),
    ("electric", 0x8f_1a_6e, 0xf5_b5_e2),
    ("docked", 0x5c_4a_00, 0xf0_dc_8a),
    ("scooter", 0x3a_6f_d0, 0x6f_9b_f0),
    ("female", 0x8a_5c_d6, 0xa0_7f_ee),
    ("male", 0x0b_66_75, 0x6f_e3_f0),
    ("other-gender", 0xa8_5a_14, 0xe0_a0_60),
    ("departures", 0x43_50_c4, 0x98_a2_ff),
    ("arrivals", 0xa6_7c_00, 0xe0_b9_3b),
    ("monday", 0x1b_3f_8b, 0x7f_9b_e6),
    ("tuesday", 0x2b_6c_b0, 0x5f_a9_ee),
    ("wednesday", 0x1f_89_a6, 0x5c_c6_e0),
    ("thursday", 0x25_8a_6a, 0x5c_cf_a6),
    ("friday", 0x5a_83_18, 0xa5_cf_55),
    ("saturday", 0xd1_49_5b, 0xf0_84_93),
    ("sunday", 0x8e_3b_8a, 0xd4_88_d0),
    ("free-0", 0x3d_34_8b, 0xa0_98_f5),
    ("free-1", 0xc4_53_3a, 0xf2_94_7c),
    ("free-2", 0x2f_7d_3b, 0x74_c7_80),
    ("free-3", 0x94_6b_2d, 0xd9_b0_70),
    ("free-4", 0x2a_7f_b8, 0x70_bd_ee),
    ("free-5", 0x96_2d_4f, 0xe8_7d_a0),
    ("free-6", 0x5c_6f_14, 0xb7_c9_5c),
    ("heat-0", 0xf0_f4_f9, 0x1c_22_2b),
    ("heat-1", 0xd6_e3_f1, 0x1d_33_4e),
    ("heat-2", 0xb3_cf_e8, 0x1f_47_70),
    ("heat-3", 0x88_b5_da, 0x23_5e_93),
    ("heat-4", 0x5c_98_c8, 0x2d_77_b4),
    ("heat-5", 0x37_7b_b3, 0x48_92_cc),
    ("heat-6", 0x1f_60_9b, 0x73_ae_df),
    ("heat-7", 0x10_45_7c, 0xa4_cc_ee),
    ("heat-8", 0x06_2b_57, 0xdb_ec_fb),
    ("loses-much", 0xb8_3a_0e, 0xff_7d_4d),
    ("loses", 0xe0_86_5c, 0xa0_54_38),
    ("even", 0x87_8f_99, 0x7d_86_91),
    ("gains", 0x5b_97_c6, 0x2f_63_91),
    ("gains-much", 0x0b_58_96, 0x62_b5_f5),
    ("route", 0x2a_6a_97, 0x6d_b3_e3),
    ("station", 0xa5_ad_b5, 0x5b_65_6f),
    ("land", 0xf3_f4_f2, 0x1d_22_28),
    ("shore", 0x9a_a8_b5, 0x55_62_6f),
    ("gap", 0xe8_eb_ef, 0x27_2e_36),
];

pub(super) const INK: Colour = named("ink");
pub(super) const SOFT: Colour = named("soft");
pub(super) const LINE: Colour = named("line");
pub(super) const PAPER: Colour = named("paper");
/// Trips for which the files do not state the value.
pub(super) const NONE: Colour = named("none");
/// All trips together.
pub(super) const ALL: Colour = named("all");
pub(super) const ROUTE: Colour = named("route");
pub(super) const STATION: Colour = named("station");
pub(super) const LAND: Colour = named("land");
pub(super) const SHORE: Colour = named("shore");
pub(super) const GAP: Colour = named("gap");

/// Numbers from small to large.
pub(super) const HEAT: [Colour; 9] = [
    named("heat-0"),
    named("heat-1"),
    named("heat-2"),
    named("heat-3"),
    named("heat-4"),
    named("heat-5"),
    named("heat-6"),
    named("heat-7"),
    named("heat-8"),
];

/// Stations from those that lose most bikes to those that gain most.
pub(super) const SURPLUS: [Colour; 5] = [
    named("loses-much"),
    named("loses"),
    named("even"),
    named("gains"),
    named("gains-much"),
];

/// The values that have a colour of their own, in the order of legends.
const VALUES: [(&str, Colour); 25] = [
    ("member", named("member")),
    ("casual", named("casual")),
    ("dependent", named("dependent")),
    ("classic_bike", named("classic")),
    ("electric_bike", named("electric")),
    ("docked_bike", named("docked")),
    ("electric_scooter", named("scooter")),
    ("Female", named("female")),
    ("Male", named("male")),
    ("Other", named("other-gender")),
    ("Non-binary", named("other-gender")),
    ("departures", named("departures")),
    ("arrivals", named("arrivals")),
    ("Monday", named("monday")),
    ("Tuesday", named("tuesday")),
    ("Wednesday", named("wednesday")),
    ("Thursday", named("thursday")),
    ("Friday", named("friday")),
    ("Saturday", named("saturday")),
    ("Sunday", named("sunday")),
    ("all", ALL),
    ("", ALL),
    (OTHERS, NONE),
    ("unknown", NONE),
    (NOT_STATED, NONE),
];

/// Colours of values that are not in [`VALUES`]: no such value has one.
const FREE: [Colour; 7] = [
    named("free-0"),
    named("free-1"),
    named("free-2"),
    named("free-3"),
    named("free-4"),
    named("free-5"),
    named("free-6"),
];

/// The label of a group of trips for which the files do not state the value.
pub(super) const NOT_STATED: &str = "not stated";

/// The label of the smaller groups together, where there are too many.
pub(super) const OTHERS: &str = "others";

/// Finds a colour when the program is compiled.
const fn named(name: &str) -> Colour {
    let name = name.as_bytes();
    let mut at = 0;
    while at < PALETTE.len() {
        let other = PALETTE[at].0.as_bytes();
        let mut same = name.len() == other.len();
        let mut letter = 0;
        while same && letter < name.len() {
            same = name[letter] == other[letter];
            letter += 1;
        }
        if same {
            return Colour(at);
        }
        at += 1;
    }
    panic!("no such colour")
}

impl Colour {
    /// Returns the colour as SVG writes it: `#0072b2`, on a page `var(--member)`.
    pub(super) fn paint(self, theme: Theme) -> String {
        let (name, light, _) = PALETTE[self.0];
        match theme {
            Theme::File => format!("#{light:06x}"),
            Theme::Page => format!("var(--{name})"),
        }
    }
}

/// Puts the names of series in the order of a legend, each with its colour: values with a colour of
/// their own first, then numbers and names in their order, "not stated" last. The order in which the
/// names are given has no influence.
pub(super) fn assign(names: &[String]) -> Vec<(String, Colour)> {
    let fixed = |name: &str| VALUES.iter().position(|(value, _)| *value == name);
    let number = |name: &str| name.parse::<i64>().ok();
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |name: &str| {
            (
                is_rest(name),
                fixed(name).unwrap_or(VALUES.len()),
                number(name),
            )
        };
        key(a).cmp(&key(b)).then_with(|| a.cmp(b))
    });
    let mut free = 0;
    let coloured = sorted.into_iter().map(|name| {
        let colour = match (fixed(name), number(name)) {
            (Some(at), _) => VALUES[at].1,
            // A year has the same colour whichever other years are shown.
            (None, Some(number)) => FREE[number.rem_euclid(FREE.len() as i64) as usize],
            (None, None) => {
                free += 1;
                FREE[(free - 1) % FREE.len()]
            }
        };
        (name.clone(), colour)
    });
    coloured.collect()
}

/// Returns whether a series is a rest, which comes last.
fn is_rest(name: &str) -> bool {
    matches!(name, NOT_STATED | OTHERS | "unknown")
}

/// Writes the variables of a page: the light colours, and the dark ones on screens whose readers
/// prefer them. Printers always have the light ones.
pub fn style_sheet() -> String {
    let list = |pick: fn(&(&str, u32, u32)) -> u32| -> String {
        let colours = PALETTE.iter();
        coloured_list(colours.map(|colour| (colour.0, pick(colour))))
    };
    format!(
        ":root {{ color-scheme: light dark; {}}}\n\
         @media screen and (prefers-color-scheme: dark) {{ :root {{ {}}} }}\n\
         @media print {{ :root {{ color-scheme: light; }} }}\n",
        list(|colour| colour.1),
        list(|colour| colour.2)
    )
}

fn coloured_list<'a>(colours: impl Iterator<Item = (&'a str, u32)>) -> String {
    let colours = colours.map(|(name, colour)| format!("--{name}: #{colour:06x}; "));
    colours.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_value_has_its_colour_in_any_order_and_beside_any_others() {
        let colour = |list: &[&str], name: &str| {
            let assigned = assign(&names(list)).into_iter();
            assigned
                .filter(|(it, _)| it == name)
                .map(|(_, colour)| colour)
                .next()
        };
        let member = Some(named("member"));
        assert_eq!(colour(&["casual", "member"], "member"), member);
        assert_eq!(
            colour(&["not stated", "dependent", "member"], "member"),
            member
        );
        assert_eq!(colour(&["casual"], "casual"), Some(named("casual")));
        assert_eq!(colour(&["not stated"], NOT_STATED), Some(NONE));
        let pair = colour(&["2019", "2021"], "2021");
        assert_eq!(colour(&["2021"], "2021"), pair);
        for (free, value) in FREE
            .iter()
            .flat_map(|free| VALUES.iter().map(move |it| (free, it)))
        {
            assert_ne!(*free, value.1, "{}", value.0);
        }
        let order = assign(&names(&["not stated", "zebra", "casual", "ant", "member"]));
        let order: Vec<&str> = order.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["member", "casual", "ant", "zebra", "not stated"]);
    }

    /// Returns red, green and blue, linear, from 0 to 1.
    fn linear(colour: u32) -> [f64; 3] {
        [16, 8, 0].map(|shift| {
            let part = f64::from(colour >> shift & 0xff) / 255.0;
            if part <= 0.040_45 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        })
    }

    fn luminance([r, g, b]: [f64; 3]) -> f64 {
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// Contrast as the Web Content Accessibility Guidelines define it.
    fn contrast(a: u32, b: u32) -> f64 {
        let (a, b) = (luminance(linear(a)), luminance(linear(b)));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn both(colour: Colour) -> [u32; 2] {
        let (_, light, dark) = PALETTE[colour.0];
        [light, dark]
    }

    #[test]
    fn texts_and_series_stand_out_from_the_paper() {
        let series = VALUES.iter().map(|(_, colour)| *colour).chain(FREE);
        let series = series.map(|colour| (colour, 3.0));
        for (colour, least) in series.chain([(INK, 7.0), (SOFT, 4.5)]) {
            for (colour, paper) in both(colour).into_iter().zip(both(PAPER)) {
                let found = contrast(colour, paper);
                assert!(found >= least, "#{colour:06x} on #{paper:06x}: {found:.2}");
            }
        }
    }

    /// Simulates how a dichromat sees the colour. Returns it in Oklab. `matrix` is that of Machado, Oliveira
    /// and Fernandes (2009) for one kind of colour blindness, at severity 1.
    fn perceived(colour: u32, matrix: [[f64; 3]; 3]) -> [f64; 3] {
        let rgb = linear(colour);
        let [r, g, b] = matrix.map(|row| {
            row.iter()
                .zip(rgb)
                .map(|(a, b)| a * b)
                .sum::<f64>()
                .max(0.0)
        });
        let l = (0.412_221_5 * r + 0.536_332_5 * g + 0.051_446_0 * b).cbrt();
        let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_9 * b).cbrt();
        let s = (0.088_302_5 * r + 0.281_718_8 * g + 0.629_978_7 * b).cbrt();
        [
            0.210_454_3 * l + 0.793_617_8 * m - 0.004_072_0 * s,
            1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
            0.025_904_0 * l + 0.782_771_8 * m - 0.808_675_8 * s,
        ]
    }

    #[test]
    fn values_of_one_dimension_differ_for_colour_blind_readers() {
        let matrices = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
            [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
        ];
        let dimensions: [&[&str]; 4] = [
            &["member", "casual", "dependent", NOT_STATED],
            &[
                "classic_bike",
                "electric_bike",
                "docked_bike",
                "electric_scooter",
                NOT_STATED,
            ],
            &["Female", "Male", "Other", NOT_STATED],
            &["departures", "arrivals"],
        ];
        for (values, matrix) in dimensions
            .iter()
            .flat_map(|it| matrices.map(|matrix| (it, matrix)))
        {
            let colours: Vec<[u32; 2]> = (assign(&names(values)).iter())
                .map(|(_, colour)| both(*colour))
                .collect();
            for (at, a) in colours.iter().enumerate() {
                for (b, theme) in colours[at + 1..].iter().flat_map(|b| [(b, 0), (b, 1)]) {
                    let (a, b) = (perceived(a[theme], matrix), perceived(b[theme], matrix));
                    let distance: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                    assert!(
                        distance.sqrt() > 0.08,
                        "{values:?} {theme} {matrix:?}: {distance}"
                    );
                }
            }
        }
    }
}
