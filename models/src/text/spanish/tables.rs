//! Spanish words and signs of text normalisation, and the words that tell Spanish from other languages.

pub(super) const MONTHS: &str = "\
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre";

/// Abbreviations as a pattern (a final full stop included) and what is said.
pub(super) const ABBREVIATIONS: &[(&str, &str)] = &[
    (r"Sra\.?", "señora"),
    (r"Sras\.", "señoras"),
    (r"Sres\.", "señores"),
    (r"Srta\.?", "señorita"),
    (r"Sr\.?", "señor"),
    (r"Dra\.?", "doctora"),
    (r"Dres\.", "doctores"),
    (r"Dr\.?", "doctor"),
    (r"Profa\.", "profesora"),
    (r"Prof\.", "profesor"),
    (r"Lic\.", "licenciado"),
    (r"Ing\.", "ingeniero"),
    (r"Arq\.", "arquitecto"),
    (r"Gral\.", "general"),
    (r"Sto\.", "santo"),
    (r"Sta\.", "santa"),
    (r"D\.ª", "doña"),
    (r"Dña\.", "doña"),
    (r"Uds\.?|Vds\.?", "ustedes"),
    (r"Ud\.?|Vd\.?", "usted"),
    (r"EE\.\s?UU\.|EEUU", "Estados Unidos"),
    (r"JJ\.\s?OO\.", "juegos olímpicos"),
    (r"RR\.\s?HH\.", "recursos humanos"),
    (r"p\.\s?ej\.", "por ejemplo"),
    (r"a\.\s?C\.", "antes de Cristo"),
    (r"d\.\s?C\.", "después de Cristo"),
    (r"a\.\s?m\.", "a eme"),
    (r"p\.\s?m\.", "pe eme"),
    (r"S\.\s?A\.", "ese a"),
    (r"[Ee]tc\.", "etcétera"),
    (r"[Nn]úm\.", "número"),
    (r"[Nn]\.?[º°]", "número"),
    (r"[Pp]ágs\.", "páginas"),
    (r"[Pp]ág\.", "página"),
    (r"[Tt]el\.|[Tt]fno\.|[Tt]eléf\.", "teléfono"),
    (r"Avda\.|Av\.", "avenida"),
    (r"[Cc]/\s?", "calle"),
    (r"[Aa]prox\.", "aproximadamente"),
    (r"[Mm]áx\.", "máximo"),
    (r"[Mm]ín\.", "mínimo"),
    (r"[Cc]ap\.", "capítulo"),
    (r"[Vv]ol\.", "volumen"),
    (r"[Aa]rt\.", "artículo"),
    (r"[Ff]ig\.", "figura"),
    (r"[Ii]zda\.|[Ii]zq\.", "izquierda"),
    (r"[Dd]cha\.", "derecha"),
    (r"[Mm]in\.", "minutos"),
    (r"[Dd]pto\.", "departamento"),
    (r"Ayto\.", "ayuntamiento"),
    (r"Cía\.", "compañía"),
    (r"vs\.", "contra"),
];

/// Signs that stand alone, and those of a web or mail address.
pub(super) const SIGNS: &str = "\
    & y, + más, = igual a, @ arroba, % por ciento, ° grados, × por, ÷ entre, * por, - menos, − menos, / o, \
    < es menor que, > es mayor que, € euros, $ dólares, £ libras, § apartado";
pub(super) const ADDRESS_SIGNS: &str = ". punto, @ arroba, / barra, - guion, _ guion bajo, + más";

/// Units: as written, one, many, and whether the noun is feminine.
pub(super) const UNITS: &[(&str, &str, &str, bool)] = &[
    ("km/h", "kilómetro por hora", "kilómetros por hora", false),
    ("m/s", "metro por segundo", "metros por segundo", false),
    ("km²", "kilómetro cuadrado", "kilómetros cuadrados", false),
    ("m²", "metro cuadrado", "metros cuadrados", false),
    ("m³", "metro cúbico", "metros cúbicos", false),
    ("kWh", "kilovatio hora", "kilovatios hora", false),
    ("kg", "kilogramo", "kilogramos", false),
    ("mg", "miligramo", "miligramos", false),
    ("km", "kilómetro", "kilómetros", false),
    ("cm", "centímetro", "centímetros", false),
    ("mm", "milímetro", "milímetros", false),
    ("ml", "mililitro", "mililitros", false),
    ("cl", "centilitro", "centilitros", false),
    ("kW", "kilovatio", "kilovatios", false),
    ("MB", "megabyte", "megabytes", false),
    ("GB", "gigabyte", "gigabytes", false),
    ("TB", "terabyte", "terabytes", false),
    ("GHz", "gigahercio", "gigahercios", false),
    ("MHz", "megahercio", "megahercios", false),
    ("kHz", "kilohercio", "kilohercios", false),
    ("Hz", "hercio", "hercios", false),
    ("ms", "milisegundo", "milisegundos", false),
    ("min", "minuto", "minutos", false),
    ("seg", "segundo", "segundos", false),
    ("hrs", "hora", "horas", true),
    ("°C", "grado centígrado", "grados centígrados", false),
    ("ºC", "grado centígrado", "grados centígrados", false),
    ("°F", "grado Fahrenheit", "grados Fahrenheit", false),
    ("°", "grado", "grados", false),
    ("g", "gramo", "gramos", false),
    ("m", "metro", "metros", false),
    ("l", "litro", "litros", false),
    ("L", "litro", "litros", false),
    ("h", "hora", "horas", true),
    ("t", "tonelada", "toneladas", true),
    ("W", "vatio", "vatios", false),
    ("V", "voltio", "voltios", false),
];

/// Names of queens: the ordinal after one is feminine.
pub(super) const QUEENS: &str =
    " Isabel Elizabeth María Juana Catalina Cristina Victoria Ana Sofía Margarita Beatriz Leonor Urraca ";

/// Names of kings and popes.
pub(super) const KINGS: &str = " Felipe Carlos Alfonso Fernando Juan Luis Enrique Pedro Pablo Benedicto Pío Francisco Jorge Eduardo \
    Ricardo Guillermo Jacobo Napoleón Alejandro Nicolás Sancho Ramiro Jaime Gregorio León Clemente Inocencio Federico \
    Leopoldo Balduino Harald Gustavo Ramsés Amadeo José Ramón Manuel Teodosio Constantino Urbano Adriano ";

/// Words before a Roman numeral that make it a plain number.
pub(super) const NUMBERED: &str = " siglo siglos capítulo tomo volumen acto parte título artículo fase libro escena nivel grado \
    tipo sección anexo apéndice unidad lección cap vol ";

/// Nouns after a Roman numeral that make it an ordinal, feminine then masculine.
pub(super) const COUNTED_FEMININE: &str =
    " guerra república edición feria internacional cumbre semana jornada olimpiada ";
pub(super) const COUNTED_MASCULINE: &str =
    " congreso concurso torneo festival plan encuentro premio milenio imperio reich ";

/// Masculine nouns in -a and feminine ones without it.
pub(super) const MASCULINE_IN_A: &str = " día días problema problemas tema temas sistema sistemas programa programas idioma \
    idiomas mapa mapas planeta planetas poema poemas drama dramas kilograma sofá sofás clima síntoma síntomas \
    diagrama diagramas dilema dilemas telegrama cura colega colegas tranvía tranvías euríbor ";
pub(super) const FEMININE_OTHERS: &str = " mano manos foto fotos moto motos radio radios noche noches tarde tardes clase clases \
    calle calles parte partes vez veces mujer mujeres flor flores llave llaves nube nubes nave naves luz luces voz \
    voces cruz cruces red redes gente sangre leche sal miel serie series especie especies base bases frase frases \
    fase fases nariz narices raíz raíces ley leyes imagen imágenes torre torres fuente fuentes muerte muertes \
    suerte sede sedes piel pieles cárcel cárceles madre madres orden labor labores sesión sesiones ";

/// Words after a number that are no noun it counts.
pub(super) const NOT_COUNTED: &str = " de del y o u e en a al con por para que es son fue era ni sin sobre hasta desde si no se \
    pero como la el los las lo le les me te un una su sus mi mis más menos está están hay tiene veces ya también coma ";

pub(super) const NUMBER: &str = concat!(
    r"(?:\d{1,3}(?:\.\d{3})+\b(?:,\d+)?|\d{1,3}(?:,\d{3})+\b(?:\.\d+)?|\d{1,3}(?:[\x{a0}\x{202f} ]\d{3})+\b(?:,\d+)?",
    r"|\d+(?:[.,]\d+)?)"
);

/// The commonest Spanish words.
pub(super) const COMMON_WORDS: &str = "\
    a al ante antes así aunque bajo cada como cómo con contra cosa cosas cual cuando cuándo cuanto de del desde después \
    donde dónde dos e el ella ellas ellos en entonces entre era eran es esa ese eso esos esas esta está están estaba \
    estamos estar este esto estos estas estoy fue fueron fui ha había habla hablar hablo hace hacer hago han has hasta \
    hay he hemos hoy la las le les lo los luego más me menos mi mis mismo misma mucho mucha muchos muchas muy nada nadie \
    ni no nos nosotros nuestra nuestro nunca o otra otro otras otros para pero poco por porque pues que qué quien quién \
    quiero quiere quieres se sea ser si sí siempre sin sino sobre solo sólo son soy su sus también tan tanto te tener \
    tengo tiene tienen tienes todo toda todos todas tu tú tus un una uno unos unas usted ustedes va vamos van vas ver \
    voy y ya yo él años año día días vez veces casa tiempo hombre mujer gente vida mundo agua comida noche noches \
    mañana tarde buenas buenos buena bueno bien mal gracias hola adiós favor perdón siento señor señora amigo amiga \
    amigos hermana hermano madre padre familia hijo hija niño niña perro gato libro libros mesa silla puerta calle \
    ciudad país trabajo escuela estudiante estudiantes profesor tren estación camino gusta gustan gustaría encanta \
    puedo puede puedes pueden poder decir dice dijo dicho digo saber sé sabe sabes ir fuiste iba ido vivir vive vivo \
    comer como come bebe beber leer escribir pensar creo cree parece llama llamo llamas cuesta dinero precio cuenta \
    café leche pan carne pescado fruta manzana manzanas naranja vino cerveza mercado tienda restaurante desayuno cena \
    almuerzo hambre sed frío calor sol lluvia llueve cielo mar playa grande pequeño pequeña nuevo nueva viejo vieja \
    bonito bonita malo mala mejor peor rojo azul verde blanco negro lunes martes miércoles jueves viernes sábado domingo \
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre cero tres cuatro cinco \
    seis siete ocho nueve diez once veinte cien mil primero primera segundo segunda tercero aquí allí ahí ahora ayer \
    anoche cerca lejos dentro fuera arriba abajo izquierda derecha vale claro despacio repite repetir escucha mira \
    palabra palabras frase inglés inglesa español española significa dicen pregunta respuesta ejemplo verdad cansado \
    cansada contento feliz triste enfermo hacemos hacen vemos tenemos hablamos hablas quisiera podría podrías debo \
    debe debes hacía mientras según durante hacia tras quizás tal cuyo aquel aquella suyo mío mía tuyo qué dame dime \
    me quedo queda quedamos lleva llevar llegar llega llego salir sale salgo poner pone pongo venir viene vengo dar \
    doy da dan das muchísimo chico chica cine música película ventana parque hotel hospital cabeza mano ojos \
    desde adelante excelente perfecto exacto correcto importante interesante fácil difícil posible";

/// Ends of words that look Spanish.
pub(super) const ENDINGS: &[&str] = &[
    "ar", "er", "ir", "ando", "iendo", "ado", "ada", "ados", "adas", "ido", "ida", "idos", "idas", "amos", "emos",
    "imos", "aba", "aban", "aría", "cion", "dad", "mente", "oso", "osa", "illo", "illa", "ito", "ita", "os", "as", "o",
    "a", "aje", "ero", "era", "eza", "anza", "encia", "ancia", "ez", "uz", "az",
];
