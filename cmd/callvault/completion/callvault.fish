# fish completion of callvault
function __callvault_complete
    set -l before (commandline -opc)
    set -l last (commandline -ct)
    set -l found ($before[1] complete -- $before[2..-1] "$last" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$last"
    end
end
complete -c callvault -f -a '(__callvault_complete)'
