// What a report's scripts find on their page.

declare const Plotly: any;
