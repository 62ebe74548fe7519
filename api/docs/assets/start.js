// Shows the documents that the page lists, as links for browsers without script.
(function () {
  "use strict";
  const links = Array.from(document.querySelectorAll("#documents a"));
  if (!window.Scalar || links.length === 0) return;
  document.documentElement.classList.add("viewing");
  window.Scalar.createApiReference("#viewer", {
    sources: links.map((a) => ({ url: a.href, title: a.textContent, slug: a.dataset.name })),
    // Nothing is asked of, or told to, anybody else.
    withDefaultFonts: false,
    telemetry: false,
    agent: { disabled: true },
    mcp: { disabled: true },
    hideClientButton: true,
    showDeveloperTools: "never",
    persistAuth: false, // a token that is tried here goes with the page
    theme: "default",
    defaultOpenAllTags: true,
    documentDownloadType: "direct",
    metaData: { title: document.title },
  });
})();
