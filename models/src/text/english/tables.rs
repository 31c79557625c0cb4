//! English words and signs of text normalisation, and the words that tell English from other languages.

pub(super) const MONTHS: &str = "\
    January February March April May June July August September October November December";

/// Abbreviations written with a full stop, and what is said: those that a word follows, and those that may end a
/// sentence.
pub(super) const TITLES: &str = "\
    Mr mister, Mrs missus, Ms miss, Dr doctor, Prof professor, Rev reverend, Gen general, Col colonel, Capt captain, \
    Lt lieutenant, Sgt sergeant, Sen senator, Rep representative, Gov governor, Hon honorable, Mt mount, Ft fort, \
    vs versus, approx approximately, est established, vol volume, Vol volume, fig figure, Fig figure, ch chapter, \
    Ch chapter";
pub(super) const ABBREVIATIONS: &str = "\
    Jr junior, Sr senior, Ave avenue, Blvd boulevard, Rd road, Inc incorporated, Ltd limited, Corp corporation, \
    Dept department, Univ university, etc et cetera, min minutes, hr hour, hrs hours, Jan January, Feb February, \
    Mar March, Apr April, Jun June, Jul July, Aug August, Sep September, Sept September, Oct October, Nov November, \
    Dec December, Mon Monday, Tue Tuesday, Tues Tuesday, Wed Wednesday, Thu Thursday, Thurs Thursday, Fri Friday";

/// Signs that stand alone, and those of a web or mail address.
pub(super) const SIGNS: &str = "\
    & and, + plus, = equals, @ at, % percent, ° degrees, × times, ÷ divided by, * times, - minus, − minus, / or, \
    < is less than, > is greater than, € euros, $ dollars, £ pounds, § section";
pub(super) const ADDRESS_SIGNS: &str = ". dot, @ at, / slash, - dash, _ underscore, + plus";

/// Units: as written, one, many.
pub(super) const UNITS: &[(&str, &str, &str)] = &[
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("mph", "mile per hour", "miles per hour"),
    ("kmh", "kilometer per hour", "kilometers per hour"),
    ("km²", "square kilometer", "square kilometers"),
    ("m²", "square meter", "square meters"),
    ("m³", "cubic meter", "cubic meters"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("kg", "kilogram", "kilograms"),
    ("mg", "milligram", "milligrams"),
    ("km", "kilometer", "kilometers"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("ml", "milliliter", "milliliters"),
    ("mL", "milliliter", "milliliters"),
    ("cl", "centiliter", "centiliters"),
    ("kW", "kilowatt", "kilowatts"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("kB", "kilobyte", "kilobytes"),
    ("GHz", "gigahertz", "gigahertz"),
    ("MHz", "megahertz", "megahertz"),
    ("kHz", "kilohertz", "kilohertz"),
    ("Hz", "hertz", "hertz"),
    ("ms", "millisecond", "milliseconds"),
    ("min", "minute", "minutes"),
    ("hrs", "hour", "hours"),
    ("hr", "hour", "hours"),
    ("sec", "second", "seconds"),
    ("lbs", "pound", "pounds"),
    ("lb", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("ft", "foot", "feet"),
    ("yd", "yard", "yards"),
    ("°C", "degree Celsius", "degrees Celsius"),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
    ("°", "degree", "degrees"),
    ("g", "gram", "grams"),
    ("m", "meter", "meters"),
    ("l", "liter", "liters"),
    ("L", "liter", "liters"),
    ("h", "hour", "hours"),
    ("W", "watt", "watts"),
    ("V", "volt", "volts"),
];

/// Names of rulers and popes: a Roman numeral after one is an ordinal.
pub(super) const REGNAL: &str = " Elizabeth Henry Charles Louis George Edward Richard William Philip Felipe Alfonso Isabel Carlos \
    Ferdinand Fernando John Paul Pius Benedict Catherine Nicholas Alexander Napoleon Ramses Ramesses Francis James Mary \
    Leo Gregory Peter Frederick Wilhelm Leopold Victoria Margaret Christian Gustav Innocent Clement Urban Xerxes Darius \
    Cyrus Philippe Juan ";

/// Words before a Roman numeral that make it a plain number.
pub(super) const NUMBERED: &str = " chapter part act volume book section phase type class level war bowl article title scene \
    appendix figure table stage grade rocky unit lesson vol rank category ";

pub(super) const NUMBER: &str = r"(?:\d{1,3}(?:,\d{3})+\b|\d+)(?:\.\d+)?";

/// The commonest English words.
pub(super) const COMMON_WORDS: &str = "\
    a able about above after again against all almost along already also although always am among an and another any \
    anything are around as ask at away back be because been before began being below best better between both but by \
    call came can cannot come comes could day days did different do does doing done don't down each early earlier eat \
    either else end enough even ever every everything example far feel few find first five food for four found from \
    full gave get gets give go goes going good got great had half happy hard has have he hello help her here him his \
    home hope hot house how however hundred i i'd i'll i'm i've if important in into is isn't it its it's job just keep \
    kind know last late later learn least left less let like likes literally little live long look looks lot love made \
    make makes man many may maybe me mean means meet men might more morning most much must my name need never new next \
    nice night no none nor not nothing now number of off often oh ok okay old on once one only or order other our out \
    over own part past people perhaps place play please point put question quite rather read ready really red remember \
    right room said same saw say saying says school see seem seems seen sentence set seven she should show since six \
    small so some someone something son soon sorry speak still stop street study such sure table take talk tea tell ten \
    tense than thank thanks that that's the their them then there these they thing things think this those though \
    thought thousand three through time times to today together told tomorrow tonight too took train try trying turn \
    twelve two under understand until up upon us use used using usually verb very want was water way we week well went \
    were what what's when where which while who whole whom whose why will wish with without woman women wonderful won't \
    word words work works world would write wrong yeah year years yes yesterday yet you your you're yours young \
    perfect correct \
    excellent exactly almost answer repeat listen practice practise conversation translate pronounce polite family \
    breakfast lunch dinner coffee bill tired hungry cold weather friend friends movie brother sister mother father";

/// Groups of letters that look English.
pub(super) const LETTERS: &[&str] = &[
    "th", "wh", "sh", "ck", "gh", "oo", "ee", "ea", "ou", "ow", "aw", "ew", "ay", "ey", "oy", "k", "w", "tt", "pp",
    "ff", "mm", "ss", "bb", "dd", "gg", "zz", "ph", "tch", "dge", "wr", "kn",
];

/// Ends of words that look English.
pub(super) const ENDINGS: &[&str] = &[
    "ing", "ed", "ly", "ness", "tion", "ght", "y", "ful", "less", "ment", "ous", "ble", "t", "c", "m", "p", "g", "f",
    "h", "v", "b", "rs", "ts", "ds", "ks", "ls", "ps", "gs", "ms", "ns",
];
