# bash completion of callvault
_callvault() {
    local line words=() word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        [[ $word == "=" ]] || words+=("$word") # bash has taken --day=today apart
    done
    [[ ${COMP_WORDS[COMP_CWORD]} == "=" ]] && words+=("")
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        COMPREPLY+=("$line")
    done < <("$1" complete -- "${words[@]}" 2>/dev/null)
}
complete -o default -F _callvault callvault
