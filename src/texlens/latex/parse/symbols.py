r"""The character and class of each LaTeX command: tables only.

`SYMBOLS` maps a token to its character and TeX's atom class: ord, op, bin, rel, open, close, punct, inner.
"""

import unicodedata

_CLASSES = {
    "ord": r"""
        \alpha α \beta β \gamma γ \delta δ \epsilon ϵ \varepsilon ε \zeta ζ \eta η \theta θ \vartheta ϑ \iota ι \kappa κ
        \varkappa ϰ \lambda λ \mu μ \nu ν \xi ξ \omicron ο \pi π \varpi ϖ \rho ρ \varrho ϱ \sigma σ \varsigma ς \tau τ
        \upsilon υ \phi ϕ \varphi φ \chi χ \psi ψ \omega ω \digamma ϝ \Gamma Γ \Delta Δ \Theta Θ \Lambda Λ \Xi Ξ \Pi Π
        \Sigma Σ \Upsilon Υ \Phi Φ \Psi Ψ \Omega Ω \Alpha Α \Beta Β \Epsilon Ε \Zeta Ζ \Eta Η \Iota Ι \Kappa Κ \Mu Μ
        \Nu Ν \Omicron Ο \Rho Ρ \Tau Τ \Chi Χ
        \infty ∞ \partial ∂ \nabla ∇ \hbar ℏ \hslash ℏ \ell ℓ \wp ℘ \Re ℜ \Im ℑ \aleph ℵ \beth ℶ \gimel ℷ \daleth ℸ
        \imath 𝚤 \jmath 𝚥 \i ı \j ȷ \prime ′ \backprime ‵ \emptyset ∅ \varnothing ∅ \angle ∠ \measuredangle ∡
        \sphericalangle ∢ \surd √ \top ⊤ \bot ⊥ \forall ∀ \exists ∃ \nexists ∄ \neg ¬ \lnot ¬ \flat ♭ \natural ♮
        \sharp ♯ \clubsuit ♣ \diamondsuit ♢ \heartsuit ♡ \spadesuit ♠ \complement ∁ \eth ð \mho ℧ \Bbbk 𝕜 \hslash ℏ
        \square □ \Box □ \blacksquare ■ \Diamond ◊ \lozenge ◊ \blacklozenge ⧫ \triangle △ \triangledown ▽
        \vartriangle △ \blacktriangle ▲ \blacktriangledown ▼ \bigstar ★ \diagup ╱ \diagdown ╲ \circledS Ⓢ \circledR ®
        \copyright © \pounds £ \yen ¥ \checkmark ✓ \maltese ✠ \dag † \ddag ‡ \S § \P ¶ \degree ° \textdegree °
        \# # \$ $ \% % \& & \_ _ \textbackslash \ \backslash \ \Vert ‖ \| ‖ \vert | \slash /
        \AA Å \aa å \ae æ \AE Æ \oe œ \OE Œ \o ø \O Ø \ss ß \l ł \L Ł \varGamma 𝛤 \varDelta 𝛥 \varTheta 𝛩 \varLambda 𝛬
        \varXi 𝛯 \varPi 𝛱 \varSigma 𝛴 \varUpsilon 𝛶 \varPhi 𝛷 \varPsi 𝛹 \varOmega 𝛺 \Finv Ⅎ \Game ⅁ \mathdollar $
        \mathsection § \mathparagraph ¶ \mathsterling £ \textasciitilde ~ \textasciicircum ^ \textbar | \euro € \cent ¢
        \texteuro € \male ♂ \female ♀ \lbar | \infin ∞ \empty ∅ \exist ∃ \real ℜ \image ℑ \reals ℝ \R ℝ \Reals ℝ
        \N ℕ \Z ℤ \Q ℚ \Complex ℂ \cnums ℂ \natnums ℕ \quarternote ♩ \eighthnote ♪ \sun ☉ \earth ⊕ \astrosun ☉
        \lightning ↯ \vdots ⋮
        \bigcirc ◯ \upalpha α \upbeta β \upgamma γ \updelta δ \upmu μ \uppi π \upsigma σ \uptau τ \upphi φ \upomega ω
    """,
    "bin": r"""
        + + - − * ∗ \pm ± \mp ∓ \times × \div ÷ \cdot ⋅ \ast ∗ \star ⋆ \circ ∘ \bullet ∙ \cap ∩ \cup ∪ \uplus ⊎ \sqcap ⊓
        \sqcup ⊔ \vee ∨ \lor ∨ \wedge ∧ \land ∧ \setminus ∖ \smallsetminus ∖ \wr ≀ \diamond ⋄ \bigtriangleup △
        \bigtriangledown ▽ \triangleleft ◁ \triangleright ▷ \lhd ⊲ \rhd ⊳ \unlhd ⊴ \unrhd ⊵ \oplus ⊕ \ominus ⊖ \otimes ⊗
        \oslash ⊘ \odot ⊙ \dagger † \ddagger ‡ \amalg ⨿ \boxplus ⊞ \boxminus ⊟ \boxtimes ⊠ \boxdot ⊡ \ltimes ⋉
        \rtimes ⋊ \leftthreetimes ⋋ \rightthreetimes ⋌ \curlyvee ⋎ \curlywedge ⋏ \circledast ⊛ \circledcirc ⊚
        \circleddash ⊝ \dotplus ∔ \divideontimes ⋇ \doublebarwedge ⩞ \barwedge ⊼ \veebar ⊻ \intercal ⊺ \Cap ⋒ \Cup ⋓
        \doublecap ⋒ \doublecup ⋓ \centerdot ⋅ \gtrdot ⋗ \lessdot ⋖ \And & \cdotp · \minuso ⊖ \obar ⌽ \odiv ⨸
        \minus − \plus + \interleave ⫴ \ocircle ⊚ \land ∧ \fatsemi ⨟ \textperiodcentered ·
    """,
    "rel": r"""
        = = < < > > : ∶ \lt < \gt > \le ≤ \leq ≤ \ge ≥ \geq ≥ \ne ≠ \neq ≠ \equiv ≡ \sim ∼ \simeq ≃ \approx ≈ \cong ≅
        \propto ∝ \varpropto ∝ \ll ≪ \gg ≫ \prec ≺ \succ ≻ \preceq ⪯ \succeq ⪰ \subset ⊂ \supset ⊃ \subseteq ⊆
        \supseteq ⊇ \subsetneq ⊊ \supsetneq ⊋ \varsubsetneq ⊊ \varsupsetneq ⊋ \sqsubset ⊏ \sqsupset ⊐ \sqsubseteq ⊑
        \sqsupseteq ⊒ \in ∈ \isin ∈ \ni ∋ \owns ∋ \notin ∉ \vdash ⊢ \dashv ⊣ \models ⊨ \vDash ⊨ \Vdash ⊩ \Vvdash ⊪
        \nvdash ⊬ \nvDash ⊭ \nVdash ⊮ \nVDash ⊯ \mid ∣ \nmid ∤ \parallel ∥ \nparallel ∦ \perp ⟂ \smile ⌣ \frown ⌢
        \asymp ≍ \doteq ≐ \doteqdot ≑ \Doteq ≑ \bowtie ⋈ \Join ⋈ \gets ← \leftarrow ← \to → \rightarrow → \rarr →
        \larr ←
        \leftrightarrow ↔ \Leftarrow ⇐ \Rightarrow ⇒ \Leftrightarrow ⇔ \iff ⟺ \implies ⟹ \impliedby ⟸
        \longleftarrow ⟵ \longrightarrow ⟶ \longleftrightarrow ⟷
        \Longleftarrow ⟸ \Longrightarrow ⟹ \Longleftrightarrow ⟺
        \mapsto ↦ \longmapsto ⟼ \hookleftarrow ↩ \hookrightarrow ↪ \leftharpoonup ↼ \leftharpoondown ↽
        \rightharpoonup ⇀ \rightharpoondown ⇁ \rightleftharpoons ⇌ \leftrightharpoons ⇋ \nearrow ↗ \searrow ↘
        \swarrow ↙ \nwarrow ↖ \leadsto ⇝ \rightsquigarrow ⇝ \leftrightsquigarrow ↭ \twoheadrightarrow ↠
        \twoheadleftarrow ↞ \rightarrowtail ↣ \leftarrowtail ↢ \leftleftarrows ⇇ \rightrightarrows ⇉
        \leftrightarrows ⇆ \rightleftarrows ⇄ \upuparrows ⇈ \downdownarrows ⇊ \Lleftarrow ⇚ \Rrightarrow ⇛
        \circlearrowleft ↺ \circlearrowright ↻ \curvearrowleft ↶ \curvearrowright ↷ \looparrowleft ↫ \looparrowright ↬
        \Lsh ↰ \Rsh ↱ \multimap ⊸ \nleftarrow ↚ \nrightarrow ↛ \nLeftarrow ⇍ \nRightarrow ⇏ \nleftrightarrow ↮
        \nLeftrightarrow ⇎ \upharpoonright ↾ \restriction ↾ \upharpoonleft ↿ \downharpoonright ⇂ \downharpoonleft ⇃
        \leqq ≦ \geqq ≧ \leqslant ⩽ \geqslant ⩾ \eqslantless ⪕ \eqslantgtr ⪖ \lesssim ≲ \gtrsim ≳ \lessapprox ⪅
        \gtrapprox ⪆ \approxeq ≊ \lll ⋘ \llless ⋘ \ggg ⋙ \gggtr ⋙ \lessgtr ≶ \gtrless ≷ \lesseqgtr ⋚ \gtreqless ⋛
        \lesseqqgtr ⪋ \gtreqqless ⪌ \risingdotseq ≓ \fallingdotseq ≒ \backsim ∽ \backsimeq ⋍ \subseteqq ⫅ \supseteqq ⫆
        \Subset ⋐ \Supset ⋑ \preccurlyeq ≼ \succcurlyeq ≽ \curlyeqprec ⋞ \curlyeqsucc ⋟ \precsim ≾ \succsim ≿
        \precapprox ⪷ \succapprox ⪸ \trianglelefteq ⊴ \trianglerighteq ⊵ \vartriangleleft ⊲ \vartriangleright ⊳
        \ntriangleleft ⋪ \ntriangleright ⋫ \ntrianglelefteq ⋬ \ntrianglerighteq ⋭ \bumpeq ≏ \Bumpeq ≎ \circeq ≗
        \eqcirc ≖ \triangleq ≜ \thicksim ∼ \thickapprox ≈ \smallsmile ⌣ \smallfrown ⌢ \shortmid ∣ \shortparallel ∥
        \between ≬ \pitchfork ⋔ \backepsilon ϶ \therefore ∴ \because ∵ \blacktriangleleft ◀ \blacktriangleright ▶
        \nless ≮ \ngtr ≯ \nleq ≰ \ngeq ≱ \nleqslant ≰ \ngeqslant ≱ \lneq ⪇ \gneq ⪈ \lneqq ≨ \gneqq ≩ \lnsim ⋦ \gnsim ⋧
        \lnapprox ⪉ \gnapprox ⪊ \nprec ⊀ \nsucc ⊁ \npreceq ⋠ \nsucceq ⋡ \precnsim ⋨ \succnsim ⋩ \precneqq ⪵
        \succneqq ⪶ \nsim ≁ \ncong ≇ \nsubseteq ⊈ \nsupseteq ⊉ \subsetneqq ⫋ \supsetneqq ⫌ \coloneqq ≔ \coloneq ≔
        \eqqcolon ≕ \eqcolon ≕ \Coloneqq ⩴ \dblcolon ∷ \vcentcolon ∶ \ratio ∶ \iddots ⋰ \rightleftharpoon ⇌
        \leftrightharpoon ⇋ \harr ↔ \lArr ⇐ \rArr ⇒ \hArr ⇔ \Rarr ⇒ \Larr ⇐ \Harr ⇔ \sub ⊂ \supe ⊇ \sube ⊆ \thetasym ϑ
        \uparrow ↑ \downarrow ↓ \updownarrow ↕ \Uparrow ⇑ \Downarrow ⇓ \Updownarrow ⇕ \varparallel ∥ \nequiv ≢ \notni ∌
        \Perp ⫫ \upmodels ⊧ \trianglelefteqslant ⊴ \leftrightarroweq ⇔
    """,
    "open": r"( ( [ [ \{ { \lbrace { \lbrack [ \langle ⟨ \lfloor ⌊ \lceil ⌈ \lvert | \lVert ‖ \lgroup ⟮ \lmoustache ⎰ "
    r"\ulcorner ⌜ \llcorner ⌞ \llbracket ⟦ \llangle ⟪ \lang ⟨ \lBrack ⟦",
    "close": r") ) ] ] \} } \rbrace } \rbrack ] \rangle ⟩ \rfloor ⌋ \rceil ⌉ \rvert | \rVert ‖ \rgroup ⟯ "
    r"\rmoustache ⎱ \urcorner ⌝ \lrcorner ⌟ \rrbracket ⟧ \rrangle ⟫ ! ! ? ? \rang ⟩ \rBrack ⟧",
    "punct": r", , ; ; \ldotp . \colon :",
    "inner": r"\dots … \ldots … \textellipsis … \mathellipsis … "
    r"\hdots … \cdots ⋯ \ddots ⋱ \dotsc … \dotsb ⋯ \dotsm ⋯ \dotsi ⋯ \dotso …",
    "op": r"""
        \sum ∑ \prod ∏ \coprod ∐ \int ∫ \iint ∬ \iiint ∭ \iiiint ⨌ \oint ∮ \oiint ∯ \oiiint ∰ \bigcap ⋂ \bigcup ⋃
        \bigvee ⋁ \bigwedge ⋀ \bigsqcup ⨆ \biguplus ⨄ \bigoplus ⨁ \bigotimes ⨂ \bigodot ⨀
        \intop ∫ \ointop ∮ \smallint ∫
        \varointclockwise ∲ \ointctrclockwise ∳ \ointclockwise ∱ \bigsqcap ⨅ \idotsint ∫⋯∫ \bigtimes ⨉
        \fint ⨏ \dashint ⨍
    """,
}


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


def _commands(names: str) -> frozenset[str]:
    return frozenset("\\" + name for name in names.split())


SYMBOLS: dict[str, tuple[str, str]] = {
    token: (character, atom) for atom, text in _CLASSES.items() for token, character in _pairs(text)
}
SYMBOLS |= {letter: (letter, "ord") for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./@|"}
SYMBOLS |= {"`": ("‘", "ord"), '"': ("”", "ord"), "\\doublebar": ("‖", "ord")}

LIMIT_OPERATORS = frozenset(token for token, _ in _pairs(_CLASSES["op"])) - _commands(
    "int iint iiint iiiint oint oiint oiiint smallint varointclockwise ointctrclockwise ointclockwise idotsint fint "
    "dashint"
)
SMALL_OPERATORS = frozenset(["\\smallint"])

FUNCTIONS = _commands(
    "arccos arcsin arctan arg cos cosh cot coth csc deg dim exp hom ker lg ln log sec sin sinh tan tanh sech "
    "csch arccot arcctg tg ctg cotg sh ch th cth cosec arctg arsinh arcosh artanh arcsec arccsc sgn Tr tr "
    "rank diag"
)
LIMIT_FUNCTIONS = {
    command: command[1:] for command in _commands("det gcd inf lim max min sup Pr argmax argmin plim esssup essinf")
} | {"\\limsup": "lim sup", "\\liminf": "lim inf", "\\injlim": "inj lim", "\\projlim": "proj lim"}
DECORATED_LIMITS = {"\\varlimsup": "\\overline", "\\varliminf": "\\underline"}
DECORATED_LIMITS |= {"\\varinjlim": "\\underrightarrow", "\\varprojlim": "\\underleftarrow"}

# command → combining character; the wide ones stretch over what they cover.
ACCENTS = dict(
    _pairs(
        "\\hat \u0302 \\tilde \u0303 \\bar \u0304 \\vec \u20d7 \\dot \u0307 \\ddot \u0308 \\dddot \u20db "
        "\\ddddot \u20dc \\check \u030c \\breve \u0306 \\acute \u0301 \\grave \u0300 \\mathring \u030a "
        "\\Hat \u0302 \\Tilde \u0303 \\Bar \u0304 \\Vec \u20d7 \\Dot \u0307 \\Ddot \u0308 \\Check \u030c "
        "\\Breve \u0306 \\Acute \u0301 \\Grave \u0300"
    )
)
# text accents that LaTeX_OCR's authors put into math
ACCENTS |= {"\\d": "\u0323", "\\b": "\u0331", "\\c": "\u0327", "\\'": "\u0301", '\\"': "\u0308", "\\`": "\u0300"}
ACCENTS |= {"\\u": "\u0306", "\\v": "\u030c", "\\H": "\u030b", "\\=": "\u0304", "\\^": "\u0302", "\\.": "\u0307"}
UNDER_ACCENTS = frozenset("\u0323\u0331\u0327")
WIDE_ACCENTS = {"\\widehat": "\u0302", "\\widetilde": "\u0303", "\\widecheck": "\u030c", "\\widebar": "\u0305"}
TEXT_ACCENTS = {"\\'": "\u0301", "\\`": "\u0300", "\\^": "\u0302", '\\"': "\u0308", "\\~": "\u0303", "\\=": "\u0304"}
TEXT_ACCENTS |= {"\\.": "\u0307", "\\u": "\u0306", "\\v": "\u030c", "\\H": "\u030b", "\\c": "\u0327", "\\r": "\u030a"}

# command → (character, or "" for a rule; goes over or under the body)
OVER = {"\\overline": "", "\\overbrace": "⏞", "\\overbracket": "⎴", "\\overparen": "⏜", "\\wideparen": "⏜"}
OVER |= {"\\overrightarrow": "→", "\\overleftarrow": "←", "\\overleftrightarrow": "↔", "\\bwidehat": "\u0302"}
UNDER = {"\\underline": "", "\\underbrace": "⏟", "\\underbracket": "⎵", "\\underparen": "⏝"}
UNDER |= {"\\underrightarrow": "→", "\\underleftarrow": "←", "\\underleftrightarrow": "↔"}
BRACES = frozenset(["\\overbrace", "\\underbrace", "\\overbracket", "\\underbracket"])
ARROWS = {"\\xrightarrow": "→", "\\xleftarrow": "←", "\\xleftrightarrow": "↔", "\\xRightarrow": "⇒", "\\xmapsto": "↦"}
ARROWS |= {"\\xLeftarrow": "⇐", "\\xLeftrightarrow": "⇔", "\\xhookrightarrow": "↪", "\\xhookleftarrow": "↩"}
ARROWS |= {"\\xlongequal": "=", "\\xrightharpoonup": "⇀", "\\xleftharpoonup": "↼", "\\xrightleftharpoons": "⇌"}

# delimiter token → character; "" is the null delimiter.
DELIMITERS: dict[str, str] = {
    token: character
    for token, (character, atom) in SYMBOLS.items()
    if atom in ("open", "close") and token not in ("!", "?")
}
DELIMITERS |= {".": "", "|": "|", "\\|": "‖", "/": "/", "\\backslash": "\\", "<": "⟨", ">": "⟩"}
DELIMITERS |= {"\\vert": "|", "\\Vert": "‖", "\\mid": "|", "\\lt": "⟨", "\\gt": "⟩", "\\Arrowvert": "‖"}
DELIMITERS |= {name: SYMBOLS[name][0] for name in ("\\uparrow", "\\downarrow", "\\updownarrow", "\\parallel")}
DELIMITERS |= {name: SYMBOLS[name][0] for name in ("\\Uparrow", "\\Downarrow", "\\Updownarrow")}
DELIMITERS |= {"\\arrowvert": "|", "\\bracevert": "|", "\\doublebar": "‖"}

# command → (least height in em, atom class); the heights make TeX's own choice of sizes.
BIG = {
    "\\" + name + suffix: (height, atom)
    for name, height in (("big", 1.08), ("Big", 1.62), ("bigg", 2.16), ("Bigg", 2.7))
    for suffix, atom in (("", "ord"), ("l", "open"), ("r", "close"), ("m", "rel"))
}

# font commands: what they take as argument → alphabet; "bold" adds weight to the alphabet in force.
FONT_COMMANDS = dict(
    _pairs(
        r"\mathrm rm \mathbf bf \mathit it \mathcal cal \mathscr scr \mathbb bb \mathfrak frak \mathsf sf \mathtt tt "
        r"\mathnormal normal \mathup rm \Bbb bb \frak frak \mathds bb \mathbbm bb \mathbbmss bb \boldsymbol bold "
        r"\bm bold \pmb bold \bold bf \bs bold \mathbfit bold \symbf bf \symrm rm \symbfit bold \mathpzc cal "
        r"\mathbfcal bfcal \roman rm \Cal cal \mathbold bold \EuScript cal \mathfrac frak \heavysymbol bold"
    )
)
FONT_SWITCHES = dict(
    _pairs(
        r"\rm rm \bf bf \it it \cal cal \sf sf \tt tt \mit normal \scr scr \sl it \sc rm \em it \boldmath bold "
        r"\unboldmath unbold \rmfamily rm \bfseries bf \itshape it \sffamily sf \ttfamily tt \upshape rm "
        r"\normalfont rm \mdseries rm \bfit bold \slshape it \scshape rm"
    )
)
TEXT_COMMANDS = dict(
    _pairs(
        r"\text rm \mbox rm \hbox rm \textrm rm \textnormal rm \textup rm \textmd rm \textit it \textsl it \emph it "
        r"\textbf bf \textsf sf \texttt tt \textsc rm \textmath rm"
    )
)
STYLE_SWITCHES = {"\\displaystyle": 0, "\\textstyle": 2, "\\scriptstyle": 4, "\\scriptscriptstyle": 6}

# spacing command → em
SPACES = {"\\,": 3 / 18, "\\thinspace": 3 / 18, "\\!": -3 / 18, "\\negthinspace": -3 / 18, "\\:": 4 / 18, "\\>": 4 / 18}
SPACES |= {"\\medspace": 4 / 18, "\\;": 5 / 18, "\\thickspace": 5 / 18, "\\negmedspace": -4 / 18, "\\quad": 1.0}
SPACES |= {"\\negthickspace": -5 / 18, "\\qquad": 2.0, "\\enspace": 0.5, "\\enskip": 0.5, "\\ ": 1 / 3, "~": 1 / 3}
SPACES |= {"\\space": 1 / 3, "\\nobreakspace": 1 / 3, "\\hfill": 0.0, "\\hfil": 0.0, "\\hss": 0.0, "\\/": 0.0}
UNITS_EM = {"em": 1.0, "ex": 0.431, "pt": 0.1, "mu": 1 / 18, "pc": 1.2, "in": 7.227, "cm": 2.845, "mm": 0.2845}
UNITS_EM |= {"bp": 0.1004, "dd": 0.107, "cc": 1.284, "sp": 0.1 / 65536, "px": 0.1}

# commands that leave no mark on the page, with the number of arguments that vanish with them
IGNORED = dict.fromkeys(
    _commands(
        "nonumber notag relax protect noindent allowbreak nobreak ignorespaces break null linebreak "
        "nolinebreak pagebreak par newline samepage unskip vfill smallskip medskip bigskip centering tiny "
        "scriptsize footnotesize small normalsize large Large LARGE huge Huge hfilneg goodbreak raggedright "
        "displaybreak nopagebreak allowdisplaybreaks arraybackslash fill - strut mathstrut "
        "* numberthis MoveEqLeft limits nolimits displaylimits"
    ),
    0,
) | dict.fromkeys(_commands("label vspace color index extracolsep"), 1)

# environment → (left delimiter, right delimiter, columns or "" where a specification follows, cell style)
ENVIRONMENTS: dict[str, tuple[str, str, str, int | None]] = {
    "array": ("", "", "", 2),
    "matrix": ("", "", "c", 2),
    "pmatrix": ("(", ")", "c", 2),
    "bmatrix": ("[", "]", "c", 2),
    "Bmatrix": ("\\{", "\\}", "c", 2),
    "vmatrix": ("|", "|", "c", 2),
    "Vmatrix": ("\\|", "\\|", "c", 2),
    "smallmatrix": ("", "", "c", 4),
    "psmallmatrix": ("(", ")", "c", 4),
    "bsmallmatrix": ("[", "]", "c", 4),
    "cases": ("\\{", "", "l", 2),
    "dcases": ("\\{", "", "l", 0),
    "rcases": ("", "\\}", "l", 2),
    "subarray": ("", "", "", 4),
    "substack": ("", "", "c", 4),
    "aligned": ("", "", "rl", 0),
    "gathered": ("", "", "c", 0),
    "eqnarray": ("", "", "rcl", 0),
    "tabular": ("", "", "", 2),
}
for _name in (
    "align",
    "split",
    "alignat",
    "alignedat",
    "flalign",
    "align*",
    "alignat*",
    "flalign*",
    "eqalign",
    "xalignat",
):
    ENVIRONMENTS[_name] = ENVIRONMENTS["aligned"]
for _name in ("gather", "gather*", "multline", "multline*", "multlined", "displaylines"):
    ENVIRONMENTS[_name] = ENVIRONMENTS["gathered"]
ENVIRONMENTS["drcases"] = ("", "\\}", "l", 0)
ENVIRONMENTS["Bsmallmatrix"], ENVIRONMENTS["vsmallmatrix"] = ("\\{", "\\}", "c", 4), ("|", "|", "c", 4)
ENVIRONMENTS["Vsmallmatrix"] = ("\\|", "\\|", "c", 4)
for _name in [name for name in ENVIRONMENTS if name.endswith(("matrix", "cases"))]:
    ENVIRONMENTS[_name + "*"] = ENVIRONMENTS[_name]
ENVIRONMENTS["eqnarray*"] = ENVIRONMENTS["IEEEeqnarray"] = ENVIRONMENTS["eqnarray"]
ENVIRONMENTS["IEEEeqnarray*"] = ENVIRONMENTS["eqnarray"]
TRANSPARENT_ENVIRONMENTS = frozenset(["equation", "equation*", "displaymath", "math", "subequations", "center", "tag"])
# plain TeX's own matrices: \matrix{a & b \cr c & d}
PLAIN_MATRICES = {"\\matrix": "matrix", "\\pmatrix": "pmatrix", "\\cases": "cases", "\\eqalign": "aligned"}
PLAIN_MATRICES |= {"\\displaylines": "gathered", "\\substack": "substack", "\\bmatrix": "bmatrix"}
PLAIN_MATRICES |= {
    "\\vmatrix": "vmatrix",
    "\\smallmatrix": "smallmatrix",
    "\\aligned": "aligned",
    "\\gathered": "gathered",
}

_BY_CHARACTER = {character: atom for token, (character, atom) in SYMBOLS.items() if len(character) == 1}


def atom_of_character(character: str) -> str:
    """The atom class of a character typed as itself (`≤`, `∑`, `é`, `中`); ord where nothing is known."""
    known = _BY_CHARACTER.get(character)
    if known:
        return known
    return "rel" if unicodedata.category(character) == "Sm" else "ord"
