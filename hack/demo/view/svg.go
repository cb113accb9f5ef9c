package view

import (
	"fmt"
	"html"
	"io"
	"strings"
	"unicode/utf8"
)

// fill has the color of each style in a picture.
var fill = map[Style]string{
	Plain: "#c9d1d9", Bold: "#ffffff", Dim: "#8b949e", Blue: "#58a6ff", Green: "#56d364", Good: "#3fb950", Bad: "#f85149",
}

// Sizes of a picture, in pixels: a column and a row of 13 px monospace.
const (
	columnWidth = 8
	rowHeight   = 18
	margin      = 16
)

// WriteSVG draws a frame as a picture of a terminal.
func WriteSVG(w io.Writer, lines []Line) error {
	columns := 0
	for _, l := range lines {
		columns = max(columns, l.columns())
	}
	width, height := columns*columnWidth+2*margin, len(lines)*rowHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="A cutover in the terminal">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="8" fill="#0d1117"/>`+"\n", width, height)
	b.WriteString(`<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="13" xml:space="preserve">` + "\n")
	for row, l := range lines {
		l.svg(&b, margin+rowHeight*row+13)
	}
	b.WriteString("</g>\n</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (l Line) columns() int {
	n := 0
	for _, s := range l {
		n += utf8.RuneCountInString(s.Text)
	}
	return n
}

// svg writes each span at its own column with its own width, so that columns meet whatever font is used. Spaces at its
// ends are left out: viewers differ in what they do with them.
func (l Line) svg(b *strings.Builder, y int) {
	column := 0
	for _, s := range l {
		text := strings.TrimSpace(s.Text)
		if n := utf8.RuneCountInString(text); n > 0 {
			weight := ""
			if s.Style == Bold {
				weight = ` font-weight="bold"`
			}
			indent := utf8.RuneCountInString(s.Text) - utf8.RuneCountInString(strings.TrimLeft(s.Text, " "))
			fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s"%s textLength="%d" lengthAdjust="spacingAndGlyphs">%s</text>`+"\n",
				margin+(column+indent)*columnWidth, y, fill[s.Style], weight, n*columnWidth, html.EscapeString(text))
		}
		column += utf8.RuneCountInString(s.Text)
	}
}
